"""Signatures of bundles: Ed25519 over the bytes of `manifest.json`, which has the hash of every other file.

Keys are PEM files as OpenSSL writes them (PKCS 8, SubjectPublicKeyInfo). The signature is the 64 bytes of RFC 8032, so
that `openssl pkeyutl -verify -rawin` checks it, too. The package `cryptography` is the extra `sign`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_mtl.core import KerasMtlError, read_bytes

_MOST_BYTES = 1 << 16
_MAKE_A_KEY = "openssl genpkey -algorithm ed25519 -out key.pem"
_PUBLIC_PART = "openssl pkey -in key.pem -pubout -out key.pub"


def load_private_key(path: Path) -> Any:
    """Reads a private key, before any work is done for it.

    Raises:
        KerasMtlError: it is missing, no unencrypted Ed25519 key in PEM, or `cryptography` is not installed.
    """
    serialization, ed25519 = _library()
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except TypeError:
        raise KerasMtlError(f"{path} is protected by a password", hint="sign with an unprotected copy") from None
    except ValueError:
        key = None
    except Exception as error:  # cryptography's own, for algorithms that it does not know
        raise KerasMtlError(f"{path} can't be used as a key: {error}", hint=_MAKE_A_KEY) from None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise KerasMtlError(f"{path} is no private Ed25519 key in PEM", hint=_MAKE_A_KEY)
    return key


def load_public_key(path: Path) -> Any:
    """Reads a public key.

    Raises:
        KerasMtlError: it is missing, no public Ed25519 key in PEM, or `cryptography` is not installed.
    """
    serialization, ed25519 = _library()
    try:
        key = serialization.load_pem_public_key(_read(path))
    except KerasMtlError:
        raise
    except Exception:  # ValueError, and cryptography's own for algorithms that it does not know
        key = None
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise KerasMtlError(f"{path} is no public Ed25519 key in PEM", hint=_PUBLIC_PART)
    return key


def sign(content: bytes, private_key: Any) -> bytes:
    """The signature of some bytes: 64 bytes, the same each time."""
    return private_key.sign(content)


def is_signed(content: bytes, signature: bytes, public_key: Any) -> bool:
    """Whether the owner of a key signed these bytes."""
    from cryptography.exceptions import InvalidSignature

    try:
        public_key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path, _MOST_BYTES)
    except OSError as error:
        raise KerasMtlError(f"can't read the key {path}: {error.strerror}") from None


def _library() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise KerasMtlError(
            "signatures need the package cryptography, which is not installed", hint="pip install 'keras_mtl[sign]'"
        ) from None
    return serialization, ed25519
