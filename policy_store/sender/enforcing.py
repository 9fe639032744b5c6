"""What speaks against enforcing a policy, as far as the world shows it: facts for whoever decides on a promotion."""

from policy_store.policy import Policy, PolicySyntaxError
from policy_store.sender.facts import Facts
from policy_store.sender.policy_host import next_step, why_no_text
from policy_store.sender.report import why_not_checked


def not_served(facts: Facts, policy: Policy) -> str:
    """Why senders do not get this policy, whatever its mode, from every address of the policy host, with the next step;
    empty where they do.
    """
    domain, host = facts.domain, facts.policy_host
    if reason := why_no_text(domain, host):
        return f"{reason}: {next_step(domain, host)}"
    try:
        served = Policy.parse(host.counting[0][1].text)
    except PolicySyntaxError as error:
        return f"what mta-sts.{domain} serves is not a policy: {error.problems[0]}"
    if (served.mx, served.max_age) != (policy.mx, policy.max_age):
        return f"mta-sts.{domain} serves another policy than the one to enforce: wait a minute after a change"
    return ""


def not_checked(facts: Facts) -> tuple[str, ...]:
    """What could not be looked at from here, each with the reason and the way out; empty where everything was."""
    reasons = []
    if facts.txt.error is not None:
        reasons.append(f"the TXT record was not checked: {facts.txt.error}")
    if facts.mx_records is None:
        reasons.append(f"the MX hosts were not checked: {facts.mx_error}")
    hosts = ((mx.host, why_not_checked(mx)) for mx in facts.mx)
    return (*reasons, *(f"{host} was not checked: {why}" for host, why in hosts if why))
