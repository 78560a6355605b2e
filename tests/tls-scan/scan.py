"""Scans the public port of a relay with sslyze, and fails on anything that it should not offer: scan.py HOST:PORT CA_FILE NAME."""

import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509 import load_pem_x509_certificate
from sslyze import (
    CertificateInfoExtraArgument,
    ScanCommandsExtraArguments,
    Scanner,
    ScanCommand,
    ServerNetworkLocation,
    ServerScanRequest,
    ServerNetworkConfiguration,
)

REFUSED = {"ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"}
SUITES = {
    "tls_1_2": {
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    },
    "tls_1_3": {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"},
}
CURVES = {"X25519", "secp256r1", "secp384r1"}
# What is asked of every server; the versions of TLS come on top.
ASKED = [
    ScanCommand.CERTIFICATE_INFO,
    ScanCommand.ELLIPTIC_CURVES,
    ScanCommand.HEARTBLEED,
    ScanCommand.OPENSSL_CCS_INJECTION,
    ScanCommand.ROBOT,
    ScanCommand.SESSION_RENEGOTIATION,
    ScanCommand.TLS_COMPRESSION,
    ScanCommand.TLS_1_3_EARLY_DATA,
    ScanCommand.TLS_EXTENDED_MASTER_SECRET,
]
VERSIONS = sorted(REFUSED | set(SUITES))


def findings(found, authority):
    for version in VERSIONS:
        suites = {suite.cipher_suite.name for suite in getattr(found, f"{version}_cipher_suites").result.accepted_cipher_suites}
        allowed = SUITES.get(version, set())
        if suites - allowed:
            yield f"{version}: {', '.join(sorted(suites - allowed))}"
        if allowed and not suites:
            yield f"{version}: not offered"
    curves = {curve.name for curve in found.elliptic_curves.result.supported_curves or []}
    if curves - CURVES or not curves:
        yield f"curves: {', '.join(sorted(curves - CURVES)) or 'none'}"
    robot = found.robot.result.robot_result.name
    renegotiation = found.session_renegotiation.result
    for is_bad, what in [
        (found.heartbleed.result.is_vulnerable_to_heartbleed, "Heartbleed"),
        (found.openssl_ccs_injection.result.is_vulnerable_to_ccs_injection, "CCS injection"),
        (not robot.startswith("NOT_VULNERABLE"), f"ROBOT: {robot}"),
        (not renegotiation.supports_secure_renegotiation, "no secure renegotiation"),
        (renegotiation.is_vulnerable_to_client_renegotiation_dos, "renegotiation by the client"),
        (found.tls_compression.result.supports_compression, "compression"),
        (found.tls_1_3_early_data.result.supports_early_data, "early data, which can be replayed"),
        (not found.tls_extended_master_secret.result.supports_ems_extension, "no extended master secret"),
    ]:
        if is_bad:
            yield what
    for deployment in found.certificate_info.result.certificate_deployments:
        leaf, *_ = deployment.received_certificate_chain
        if isinstance(leaf.public_key(), Ed25519PublicKey):
            # The rules of browsers, by which chains are verified here, know no Ed25519.
            leaf.verify_directly_issued_by(authority)
        elif deployment.verified_certificate_chain is None:
            why = [result.validation_error for result in deployment.path_validation_results]
            yield f"certificate: the chain cannot be verified: {why}"
        if not deployment.received_chain_has_valid_order:
            yield "certificate: the chain is out of order"
        if deployment.verified_chain_has_sha1_signature:
            yield "certificate: SHA-1"


def main():
    address, ca_file, name = sys.argv[1:]
    host, port = address.rsplit(":", 1)
    location = ServerNetworkLocation(name, int(port), ip_address=host)
    only = ScanCommandsExtraArguments(certificate_info=CertificateInfoExtraArgument(custom_ca_file=Path(ca_file)))
    asked = set(ASKED) | {ScanCommand[f"{version.upper()}_CIPHER_SUITES"] for version in VERSIONS}
    request = ServerScanRequest(
        location, ServerNetworkConfiguration(name), scan_commands=asked, scan_commands_extra_arguments=only
    )
    scanner = Scanner()
    scanner.queue_scans([request])
    result = next(iter(scanner.get_results()))
    if result.scan_result is None:
        sys.exit(f"{address}: not reached: {result.connectivity_error_trace}")
    for asked_for in asked:
        attempt = getattr(result.scan_result, asked_for.value)
        if attempt.result is None:
            sys.exit(f"{asked_for.value}: no result: {attempt.error_reason} {attempt.error_trace}")
    bad = list(findings(result.scan_result, load_pem_x509_certificate(Path(ca_file).read_bytes())))
    for finding in bad:
        print(f"FINDING {finding}")
    leaf = result.scan_result.certificate_info.result.certificate_deployments[0].received_certificate_chain[0]
    print(f"{type(leaf.public_key()).__name__}: {len(asked)} scans, {len(bad)} findings")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
