"""Catching up over TLS: a certificate of our own for one run, which only this process trusts."""

import asyncio
import datetime
import ipaddress
import os
import random
import ssl
import tempfile
from pathlib import Path
from typing import Any

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from atprotocol.net.addresses import Policy
from bench.indexing import SAMPLES, bare
from bench.stream import Sender, stranger_templates


def over_tls(frames: int = 300_000) -> dict[str, Any]:
    """Measure how fast a stream is received over TLS, against the same stream without."""
    templates = stranger_templates(SAMPLES)
    order = [random.Random(19).randrange(SAMPLES) for _ in range(frames)]
    with tempfile.TemporaryDirectory(prefix="plyr-bench-") as folder:
        server = _certified(Path(folder))
        os.environ["SSL_CERT_FILE"] = str(Path(folder) / "certificate.pem")
        try:
            with Sender(templates, order) as plain_url, Sender(templates, order, server) as tls_url:
                ports = {int(url.rpartition(":")[2]) for url in (plain_url, tls_url)}
                policy = Policy(frozenset(("127.0.0.1", port) for port in ports), allow_http=True)
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    plain = runner.run(bare(plain_url, policy, frames))
                    secured = runner.run(bare(tls_url, policy, frames))
        finally:
            del os.environ["SSL_CERT_FILE"]
    return {
        "frames": frames,
        "plain_frames_per_second": round(plain.rate),
        "tls_frames_per_second": round(secured.rate),
        "plain_cpu_seconds_per_million": round(plain.cpu_seconds / frames * 1e6, 2),
        "tls_cpu_seconds_per_million": round(secured.cpu_seconds / frames * 1e6, 2),
        "tls_megabits_per_second": round(secured.size_bytes * 8 / secured.seconds / 1e6),
        "ratio_of_tls_to_plain": round(secured.rate / plain.rate, 3),
    }


def _certified(folder: Path) -> ssl.SSLContext:
    """Return a server's context with a certificate that is written into the folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=5))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "certificate.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file = folder / "key.pem"
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key_file)
    return context
