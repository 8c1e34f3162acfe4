"""Who the command line says acts: the option, then the variable, then the operating system's user."""

from hauberk.cli._principal import principal
from hauberk.core.principal import Kind, Known, Principal


def test_the_option_comes_before_the_variable_and_that_before_the_user():
    told = {"HAUBERK_PRINCIPAL": "service:nightly"}
    assert principal("ana@bank", told) == Principal("ana@bank", Kind.UNKNOWN, Known.SAID)
    assert principal(None, told) == Principal("nightly", Kind.SERVICE, Known.SAID)
    own = principal(None, {"HAUBERK_PRINCIPAL": "  "})
    assert own.known is Known.SYSTEM
    assert "@" in own.id
