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


def test_the_system_is_asked_for_the_user_not_the_environment(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "ceo")
    assert not principal(environ={}).id.startswith("ceo@")
