"""Why a TLS connection to Postgres does not come about, and what to do next, in one line for an operator."""

import os
import ssl
from typing import Final
from urllib.parse import parse_qs, urlsplit

FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
"""Of DATABASE_URL: paths."""

# OpenSSL's numbers (x509_vfy.h); Python has names for none of them.
_NOT_YET, _EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64
_NEXT: Final = {
    _NOT_YET: "look at the clocks, or give the server one that holds",
    _EXPIRED: "give the server a new one",
    _OTHER_HOST: "DATABASE_URL must name the host that it was made for",
    _OTHER_ADDRESS: "DATABASE_URL must name the host that it was made for",
}


def tls_fault(error: Exception, dsn: str) -> str | None:
    """One line when TLS is what `error` is about: a certificate, a file, a server without TLS; else None."""
    match error:
        case ssl.SSLCertVerificationError():
            more = _NEXT.get(error.verify_code, "sslrootcert must be the authority that signed it")
            return f"the server's certificate is refused: {error.verify_message.rstrip('.')}; {more}"
        case OSError() if unreadable := _unreadable(dsn):
            return unreadable
        case ssl.SSLError():
            return f"TLS fails: {error.reason or error}; look at the server's log, and at the files in DATABASE_URL"
        case ConnectionError() if "rejected SSL upgrade" in str(error):
            return "the server speaks no TLS, which sslmode asks for; it has to have `ssl = on`"
    return None


def _unreadable(dsn: str) -> str | None:
    try:
        given = parse_qs(urlsplit(dsn).query)
    except ValueError:
        return None
    for name in FILES:
        for path in given.get(name, ()):
            if not os.access(path, os.R_OK):
                return f"{name} in DATABASE_URL is no file that can be read: {path}"
    return None
