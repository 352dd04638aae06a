"""User, password and certificates for a broker, and what is wrong when it cannot be reached. Never shows a secret."""

from __future__ import annotations

import socket
import ssl

import paho.mqtt.client as paho

from shelfvision.config import BrokerSection
from shelfvision.errors import BrokerError


def set_credentials(client: paho.Client, broker: BrokerSection) -> None:
    """Give a client what the broker section says.

    Raises:
        BrokerError: a file is missing or wrong.
    """
    password = broker.password.get_secret_value() if broker.password is not None else None
    if broker.password_file is not None:
        try:
            password = broker.password_file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise BrokerError(f"broker.password_file {broker.password_file}: cannot be read: {reason}") from None
    if broker.username is not None or password is not None:
        client.username_pw_set(broker.username or "", password)
    if broker.tls:
        client.tls_set_context(_tls_context(broker))


def _tls_context(broker: BrokerSection) -> ssl.SSLContext:
    for name in ("ca_file", "cert_file", "key_file"):
        path = getattr(broker, name)
        if path is not None and not path.is_file():
            raise BrokerError(f"broker.{name} {path}: no such file")
    try:
        context = ssl.create_default_context(cafile=str(broker.ca_file) if broker.ca_file else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if broker.cert_file is not None:
            context.load_cert_chain(broker.cert_file, broker.key_file)
    except (ssl.SSLError, OSError) as error:
        raise BrokerError(f"broker TLS files: {error.strerror or error}; check ca_file, cert_file, key_file") from None
    return context


def connect_fault(error: OSError, seconds: float) -> str:
    """Why a connection did not come about within ``seconds``, in words that say what to check."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}; check broker.ca_file and the host name"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}; check url and client certificate"
    if isinstance(error, socket.gaierror):
        return "no such host; check broker.url"
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:.0f} s; check broker.url and the network"
    return f"cannot be reached: {error.strerror or error}; is it running?"
