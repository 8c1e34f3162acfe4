"""The practices that Hauberk implements and the roles that evidence speaks of: two lists, each written down once.

Registration and evidence refuse an id or a role that is not listed here. The report's table, `hauberk controls`,
docs/controls.md and the README's table are computed from these lists and from the registries.
"""

from __future__ import annotations

from dataclasses import dataclass

from hauberk.core.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Practice:
    """One practice of the blueprint.

    id: "1a" to "A4". duty: what the practice must do, in one line. command: the commands that run it, as Markdown,
    "" while nothing does. page: its page under docs/, "" when it has none. missing: the part that no command runs yet.
    """

    id: str
    name: str
    duty: str
    command: str = ""
    page: str = ""
    missing: str = ""

    @property
    def status(self) -> str:
        """Whether a command runs the practice, in words for a table."""
        if not self.command:
            return "no evidence yet"
        return f"works; not yet: {self.missing}" if self.missing else "works"


PRACTICES: tuple[Practice, ...] = (
    Practice(
        "1a",
        "Data verification",
        "check schema, ranges, integrity by digest, drift, poison and leakage",
        "`hauberk data verify / screen / audit / prove`",
        "verification.md",
    ),
    Practice(
        "1b",
        "Data encryption",
        "encrypt data at rest and in transit; keys in a key service, rotated",
        "`hauberk seal / open / rewrap / rotate / erase`, `hauberk keys`",
        "keys.md",
    ),
    Practice("1c", "Access control", "decide who may read or change data, models and keys, and log each decision"),
    Practice(
        "2a",
        "Defensive training",
        "train models that withstand attack, and attack them to measure it",
        "`hauberk protect`, `hauberk attack MODEL`",
        "training.md",
    ),
    Practice(
        "2b",
        "Regular model updates",
        "replace a model only when no metric regresses; roll back",
        "`hauberk update`, `hauberk rollback`",
        "updates.md",
    ),
    Practice(
        "2c", "Anomaly detection", "detect signs of attack in inputs, outputs, confidence, errors and clients"
    ),
    Practice(
        "3a",
        "Model encryption",
        "encrypt models at rest and in deployment, and compute on encrypted inputs",
        "`[release] seal = true`",
        missing="inference on encrypted inputs",
    ),
    Practice("3b", "API security", "authenticate, limit, validate and watch the requests to a served model"),
    Practice("3c", "Watermarks and fingerprints", "prove ownership of a stolen copy, with a p-value"),
    Practice("4a", "Continuous monitoring", "measure performance and security in real time, log and alert"),
    Practice("4b", "Incident response", "identify, contain, mitigate and learn, by playbooks that run"),
    Practice("4c", "Threat intelligence", "consume and share indicators of attack"),
    Practice("5a", "Compliance", "compute the status of each legal clause from evidence; privacy; erasure"),
    Practice("5b", "Ethical AI", "measure bias with confidence intervals, mitigate it, explain decisions"),
    Practice("A1", "Federated learning", "train on data that stay with their owners, despite malicious clients"),
    Practice("A2", "Differential privacy", "bound what training and answers reveal about one person"),
    Practice("A3", "Secure enclaves", "release keys only to attested hardware"),
    Practice(
        "A4",
        "Ledger of data transactions",
        "log what happened to data, keys and models in an append-only log with proofs",
        "`hauberk ledger show / prove / audit`",
        missing="checkpoints on a public chain",
    ),
)

ROLES: dict[str, str] = {
    "data": "the data set",
    "plain": "the model trained without hardening",
    "hardened": "the model trained to withstand the declared threat",
    "champion": "the model that is released while a challenger is compared with it",
    "trusted": "the first released model, which no update may fall behind",
    "attacked": "a model that `hauberk attack` measured",
    "audit": "a registered set of files that was read again",
}
"""What a subject can be to a measurement: role to what it means."""

_BY_ID = {practice.id: practice for practice in PRACTICES}


def check_practice(practice: str) -> None:
    """Raise InvalidInput, listing the known ids, unless `practice` is one of them."""
    if practice not in _BY_ID:
        raise InvalidInput(f"there is no practice {practice!r}; known: {', '.join(_BY_ID)}.")


def check_role(role: str) -> None:
    """Raise InvalidInput, listing the known roles, unless `role` is one of them."""
    if role not in ROLES:
        raise InvalidInput(f"there is no role {role!r} in evidence; known: {', '.join(ROLES)}.")


def practice_table() -> str:
    """Return the README's table as Markdown: a row for each practice that a command runs, one row for all others."""
    rows = [f"| {p.id} {_linked(p)} | {p.command} | {p.status} |" for p in PRACTICES if p.command]
    open_ = ", ".join(f"{p.id} {p.name}" for p in PRACTICES if not p.command)
    rows.append(f"| {open_} | | no evidence yet |")
    return "\n".join(["| practice | command | status |", "| --- | --- | --- |", *rows]) + "\n"


def _linked(practice: Practice) -> str:
    return f"[{practice.name}](docs/{practice.page})" if practice.page else practice.name
