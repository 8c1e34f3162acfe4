"""Connect to AWS KMS and translate its errors, grouped by who has to act."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from hauberk.core import tls
from hauberk.core.errors import HauberkError, InvalidInput, NotProven, Unavailable
from hauberk.core.extras import need

_ATTEMPTS = 3
_THIS_MACHINE = {("http", "127.0.0.1"), ("http", "localhost")}
_LATER = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "KMSInternalException",
        "DependencyTimeoutException",
        "KeyUnavailableException",
        "InternalFailure",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "RequestTimeout",
    }
)
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "OptInRequired",
    }
)
_WRONG = frozenset({"IncorrectKeyException", "InvalidCiphertextException", "KMSInvalidSignatureException"})


def connect(*, region: str | None, profile: str | None, endpoint: str | None, timeout: float) -> Any:  # noqa: ANN401 - boto3 publishes no types
    """Return a KMS client that speaks TLS 1.3, waits `timeout` seconds for an answer and sends a request at most three times.

    Raises InvalidInput for a missing region or profile, and for an unencrypted endpoint that is not on this machine.
    """
    boto3 = need("boto3")
    config = need("botocore.config").Config(
        connect_timeout=min(timeout, 10.0),
        read_timeout=timeout,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    )
    parts = urlsplit(endpoint or "https://")
    if parts.scheme != "https" and (parts.scheme, parts.hostname) not in _THIS_MACHINE:
        raise InvalidInput(f"endpoint={str(endpoint)[:80]!r} in the keys' URI: expected https://.")
    with translated("connect to", region or "AWS"):
        session = boto3.session.Session(profile_name=profile, region_name=region)
        client = session.client("kms", endpoint_url=endpoint, config=config)
    _harden(client)
    return client


def _harden(client: Any) -> None:  # noqa: ANN401 - as above
    # botocore has no setting for the least version of TLS, so the contexts of its session are changed. This is not
    # documented API: pyproject.toml limits the versions, tests/custody/keys/test_aws.py checks with real handshakes, and
    # a botocore that keeps its contexts elsewhere is refused here before anything is sent.
    session: Any = getattr(getattr(client, "_endpoint", None), "http_session", None)
    context = getattr(getattr(session, "_manager", None), "connection_pool_kw", {}).get("ssl_context")
    made = getattr(session, "_get_ssl_context", None)
    if not isinstance(context, ssl.SSLContext) or made is None:
        raise Unavailable("this botocore does not allow setting TLS to 1.3. Install another release of boto3.")

    def hardened() -> ssl.SSLContext:
        later: ssl.SSLContext = made()
        later.minimum_version = tls.TLS_1_3
        return later

    context.minimum_version = tls.TLS_1_3
    session._get_ssl_context = hardened  # for proxies: their contexts are created on first use  # noqa: SLF001


@contextmanager
def translated(verb: str, subject: str) -> Iterator[None]:
    """Raise the Hauberk error for each of botocore's exceptions."""
    exceptions = need("botocore.exceptions")
    try:
        yield
    except exceptions.ClientError as error:
        raise _answered(error.response, verb, subject) from error
    except (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.TokenRetrievalError,
    ) as error:
        raise InvalidInput(
            f"no AWS credentials to {verb} {subject}: set AWS_PROFILE or log in with `aws sso login`."
        ) from error
    except exceptions.NoRegionError as error:
        raise InvalidInput("AWS needs a region: add ?region=REGION to the keys' URI, or set AWS_REGION.") from error
    except exceptions.ProfileNotFound as error:
        raise InvalidInput(f"{error}. Name a profile of your AWS configuration.") from error
    except exceptions.SSLError as error:
        raise Unavailable(
            f"AWS KMS could not {verb} {subject}: TLS 1.3 with a trusted certificate failed."
        ) from error
    except exceptions.ParamValidationError as error:
        raise InvalidInput(f"AWS KMS cannot {verb} {subject}: the URI or a name does not fit.") from error
    except exceptions.BotoCoreError as error:
        # Timeouts and broken connections; the text holds the endpoint and the reason.
        raise Unavailable(f"AWS KMS did not answer when asked to {verb} {subject}: {error}. Try again.") from error


def _answered(response: dict[str, Any], verb: str, subject: str) -> HauberkError:
    code = str(response.get("Error", {}).get("Code", "unknown"))
    said = str(response.get("Error", {}).get("Message", ""))[:300]
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _LATER or status >= 500 or status == 429:
        return Unavailable(f"AWS KMS cannot {verb} {subject} now ({code}). Run the same command again later.")
    if code in _DENIED:
        return InvalidInput(
            f"AWS KMS denies to {verb} {subject} ({code}): {said}. Ask an administrator for the permission."
        )
    if code in _WRONG:
        return NotProven(f"AWS KMS could not {verb} with {subject}: another key, other bytes or another context.")
    if code in ("KMSInvalidStateException", "DisabledException"):
        return InvalidInput(
            f"AWS KMS cannot {verb} {subject}: the key is disabled or scheduled for deletion ({said}). An "
            "administrator can enable it, or cancel the deletion, while it waits."
        )
    if code == "InvalidKeyUsageException":
        return InvalidInput(f"AWS KMS cannot {verb} {subject}: the key was made for something else ({said}).")
    return InvalidInput(f"AWS KMS refused to {verb} {subject} ({code}): {said}")
