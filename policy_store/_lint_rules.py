"""Everything that lint can find, as one table: the code, how bad it is, what it is, what to do, and who says so.

`docs/findings.md` is made from it (`python -m dev.findings`).
"""

from dataclasses import dataclass
from typing import Literal

type Severity = Literal["error", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")  # the worst first
HEADINGS = {"text": "The text", "field": "A field's name or value", "row": "A row of the table"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding. `code` stays the same between versions, `about` is a key of HEADINGS, `source` names the
    section of the RFC, or the senders and checkers whose behaviour is behind it.
    """

    code: str
    severity: Severity
    about: str
    what: str
    remedy: str
    source: str


_ALL = (
    # The whole text.
    Rule(
        "too_large",
        "error",
        "text",
        "The text is longer than 64 KiB.",
        "Shorten it: name the hosts of one provider with one wildcard.",
        "RFC 8461 section 3.3",
    ),
    Rule(
        "over_10_kib",
        "warning",
        "text",
        "The text is longer than 10 KiB.",
        "Shorten it: name the hosts of one provider with one wildcard.",
        "chasquid reads 10 KiB and silently drops the rest",
    ),
    Rule(
        "utf16",
        "error",
        "text",
        "The text is UTF-16.",
        "Save it as ASCII, or as UTF-8 without a byte order mark.",
        "RFC 8461 section 3.2",
    ),
    Rule(
        "not_utf8",
        "error",
        "text",
        "The text is neither ASCII nor UTF-8.",
        "Save it as ASCII.",
        "RFC 8461 section 3.2",
    ),
    Rule(
        "bom",
        "error",
        "text",
        "The text starts with a byte order mark.",
        "Save it without one.",
        "RFC 8461 section 3.2; the Postfix resolver, mox, Maddy and postfix-tlspol refuse it",
    ),
    Rule(
        "blank_line",
        "error",
        "text",
        "A line is blank, often one too many at the end.",
        "Delete it.",
        "RFC 8461 section 3.2; mox, Maddy and postfix-tlspol refuse it",
    ),
    Rule(
        "leading_space",
        "error",
        "text",
        "A line starts with white space.",
        "Delete the white space.",
        "RFC 8461 section 3.2; the Postfix resolver, mox, Maddy and postfix-tlspol refuse it",
    ),
    Rule(
        "comment",
        "error",
        "text",
        "A line is a comment.",
        "Delete it: a policy has no comments.",
        "RFC 8461 section 3.2; mox, Maddy and postfix-tlspol refuse it",
    ),
    Rule(
        "lone_cr",
        "error",
        "text",
        "A CR stands without an LF.",
        "End every line with CRLF.",
        "RFC 8461 section 3.2; all but two senders read one long line",
    ),
    Rule(
        "line_ends_mixed",
        "warning",
        "text",
        "Some lines end with CRLF, others with LF.",
        "End every line with CRLF.",
        "MailPolicyExplainer refuses it",
    ),
    Rule(
        "line_ends_lf",
        "warning",
        "text",
        "The lines end with LF.",
        "End every line with CRLF, as every text is served that this app makes.",
        "RFC 8461 erratum 6253; MailPolicyExplainer refuses it, Mimecast's library warns",
    ),
    Rule(
        "no_final_line_end",
        "warning",
        "text",
        "The last line has no line end.",
        "End it with CRLF.",
        "RFC 8461 section 3.2 allows it; checkers differ",
    ),
    Rule(
        "control_character",
        "error",
        "text",
        "A control character stands in a line.",
        "Delete it.",
        "RFC 8461 section 3.2",
    ),
    Rule(
        "not_ascii",
        "warning",
        "text",
        "A character is not ASCII.",
        "Delete the field, or write it in ASCII.",
        "the Postfix resolver reads a text without a charset as ASCII and refuses it",
    ),
    Rule(
        "spacing",
        "info",
        "text",
        "Not exactly one space stands after the colon, or white space at the line's end.",
        "Write 'name: value' with one space and nothing after the value.",
        "MailPolicyExplainer and DomainHealthChecker want exactly one",
    ),
    # Names of fields, and fields that are missing or given twice.
    Rule(
        "field_name",
        "error",
        "field",
        "What stands before the colon is no name of a field.",
        "Write the name and, right after it, a colon.",
        "RFC 8461 section 3.2",
    ),
    Rule(
        "no_colon",
        "error",
        "field",
        "A line has no colon.",
        "Write 'name: value', or delete the line.",
        "RFC 8461 section 3.2; mox, Maddy and postfix-tlspol refuse it, Stalwart misreads the next line",
    ),
    Rule(
        "near_key",
        "error",
        "field",
        "The name of a field is misspelt, as in 'ms:', 'max-age:', 'Mode:' or 'mode :'.",
        "Write version, mode, mx or max_age exactly so, in lower case.",
        "RFC 8461 section 3.2: senders ignore or refuse the line, so its value does not count",
    ),
    Rule(
        "unknown_field",
        "warning",
        "field",
        "A field is neither version, mode, mx nor max_age.",
        "Delete it: senders ignore it at best.",
        "RFC 8461 section 3.2 allows it; checkdmarc warns, MailCheck and MailPolicyExplainer call it an error",
    ),
    Rule(
        "field_colon",
        "warning",
        "field",
        "The value of an unknown field holds a colon.",
        "Delete the field.",
        "Maddy (go-mtasts) and MailCheck refuse the whole policy",
    ),
    Rule(
        "empty_value",
        "error",
        "field",
        "An unknown field has no value.",
        "Delete it.",
        "RFC 8461 section 3.2; mox and postfix-tlspol refuse it",
    ),
    Rule(
        "duplicate_field",
        "warning",
        "field",
        "version, mode or max_age is given twice with one value.",
        "Delete one of the lines.",
        "KumoMTA, checkdmarc and MailCheck refuse it",
    ),
    Rule(
        "contradiction",
        "error",
        "field",
        "version, mode or max_age is given twice with different values.",
        "Delete the wrong line.",
        "RFC 8461 section 3.2: the first counts; the Postfix resolver, Maddy, chasquid, mailauth, Stalwart and Halon "
        "take the last, KumoMTA refuses the policy",
    ),
    Rule(
        "version_not_first",
        "warning",
        "field",
        "version is not the first field.",
        "Move it to the first line.",
        "RFC 8461 section 3.2 allows it; Google's help asks for it",
    ),
    Rule(
        "missing_version",
        "error",
        "field",
        "There is no version.",
        "Add 'version: STSv1' as the first line.",
        "RFC 8461 section 3.2",
    ),
    Rule(
        "missing_mode",
        "error",
        "field",
        "There is no mode.",
        "Write testing, enforce or none.",
        "RFC 8461 section 3.2",
    ),
    Rule(
        "missing_max_age",
        "error",
        "field",
        "There is no max_age.",
        "Write a number of seconds, 604800 (a week) to begin with.",
        "RFC 8461 section 3.2",
    ),
    Rule(
        "missing_mx",
        "error",
        "field",
        "There is no mx, and the mode is not none.",
        "Name every MX host of the domain, or a wildcard for them.",
        "RFC 8461 section 3.2",
    ),
    # Values.
    Rule(
        "version_value",
        "error",
        "field",
        "version is not STSv1.",
        "Write 'version: STSv1' with these very letters.",
        "RFC 8461 section 3.2",
    ),
    Rule(
        "mode_value",
        "error",
        "field",
        "mode is neither enforce, testing nor none.",
        "Write one of the three, in lower case and nothing after it.",
        "RFC 8461 section 3.2",
    ),
    Rule(
        "max_age_value",
        "error",
        "field",
        "max_age is not a whole number from 0 to 31557600.",
        "Write seconds in plain digits, such as 604800 for a week.",
        "RFC 8461 section 3.2",
    ),
    Rule(
        "max_age_zero",
        "warning",
        "field",
        "max_age is 0.",
        "Raise it to 604800 at least, 86400 where the policy is being retired.",
        "chasquid and postfix-tlspol refuse the policy",
    ),
    Rule(
        "max_age_under_a_day",
        "warning",
        "field",
        "max_age is less than a day.",
        "Raise it to 604800 at least, 86400 where the policy is being retired.",
        "RFC 8461 section 3.2: weeks or greater; Google takes no less than 86400, Stalwart keeps one under an hour for "
        "a day",
    ),
    Rule(
        "max_age_under_a_week",
        "warning",
        "field",
        "max_age is less than a week and the mode is enforce.",
        "Raise it to 604800 at least.",
        "RFC 8461 section 3.2: weeks or greater; Mimecast's library reads it as a week",
    ),
    Rule(
        "max_age_under_a_week_testing",
        "info",
        "field",
        "max_age is less than a week and the mode is testing.",
        "Raise it to 604800 before the mode becomes enforce.",
        "RFC 8461 section 3.2: weeks or greater",
    ),
    Rule(
        "max_age_under_two_weeks",
        "info",
        "field",
        "max_age is less than two weeks and the mode is enforce.",
        "Raise it to 1209600 once the MX hosts will not change soon.",
        "MailCheck of the UK's NCSC",
    ),
    Rule(
        "max_age_longest",
        "warning",
        "field",
        "max_age is 31557600, the most that is allowed.",
        "Write 31557599 or less.",
        "Stalwart reads it as a day",
    ),
    Rule(
        "none_without_mx",
        "warning",
        "field",
        "The mode is none and there is no mx.",
        "Keep the mx patterns that the policy had.",
        "chasquid and Stalwart refuse the policy and keep the old one",
    ),
    Rule(
        "mx_value",
        "error",
        "field",
        "mx is no host name, nor '*.' and a host name: one with a trailing dot, '*' alone, several names in one line, "
        "an address, a U-label, an underscore.",
        "Write one name for each mx, as A-labels and without a trailing dot.",
        "RFC 8461 sections 3.2 and 4.1; many senders accept a trailing dot or '*', and then Postfix and ZoneMTA stop "
        "all mail in enforce",
    ),
    Rule(
        "mx_matches_nothing",
        "error",
        "field",
        "No MX host of the provider can match the pattern, such as '*.mx.microsoft', 'mail.protection.outlook.com' or "
        "'google.com'.",
        "Write the names that the MX records hold, or '*' in place of their first label.",
        "RFC 8461 section 4.1: a wildcard stands for one label; Exchange Online's hosts are "
        "'<name>.mail.protection.outlook.com' and '<name>.<x>-v1.mx.microsoft'",
    ),
    Rule(
        "mx_google_wildcard",
        "warning",
        "field",
        "A wildcard leaves out hosts of Google: '*.google.com' matches smtp.google.com alone.",
        "Write smtp.google.com, or aspmx.l.google.com and *.aspmx.l.google.com, whichever the MX records hold.",
        "RFC 8461 section 4.1: a wildcard stands for one label",
    ),
    Rule(
        "mx_exchange_dots",
        "warning",
        "field",
        "Several labels stand before Exchange Online's zone.",
        "Write hyphens in place of dots: contoso-com.mail.protection.outlook.com.",
        "Exchange Online's MX hosts have one label there",
    ),
    Rule(
        "mx_submission_host",
        "warning",
        "field",
        "The host takes mail from mail programs and is no MX host.",
        "Write the names that the MX records hold.",
        "smtp.gmail.com, smtp.office365.com and outlook.office365.com",
    ),
    Rule(
        "mx_onmicrosoft",
        "warning",
        "field",
        "The pattern lies in onmicrosoft.com, where no MX host has its name.",
        "Write *.mail.protection.outlook.com, or the names that the MX records hold.",
        "Exchange Online's MX hosts are '<name>.mail.protection.outlook.com'",
    ),
    Rule(
        "mx_single_label",
        "warning",
        "field",
        "The pattern has one label, or a wildcard before one.",
        "Write the full name of the MX host.",
        "RFC 8461 section 4.1: the whole name is compared; '*.com' is anybody's",
    ),
    Rule(
        "mx_covered",
        "warning",
        "field",
        "Another pattern of the policy covers this one.",
        "Delete one of the two: the wildcard if only the named host is meant.",
        "RFC 8461 section 4.1",
    ),
    Rule("mx_twice", "info", "field", "A pattern is given twice.", "Delete one of the lines.", "RFC 8461 section 3.2"),
    Rule(
        "mx_upper_case",
        "warning",
        "field",
        "A pattern is not in lower case.",
        "Write it in lower case.",
        "RFC 8461 section 4.1 ignores letter case; not every checker does",
    ),
    # Rows.
    Rule(
        "partition_key",
        "error",
        "row",
        "The PartitionKey is not the domain as requests ask for it, so no read finds the row.",
        "Add the row anew with the domain in lower case, as A-labels, and delete this one.",
        "keys of Table Storage are compared octet by octet",
    ),
    Rule(
        "row_key",
        "error",
        "row",
        "The RowKey is not 'policy', so no read finds the row.",
        "Add the row anew with the RowKey 'policy', and delete this one.",
        "keys of Table Storage are compared octet by octet",
    ),
    Rule(
        "two_spellings",
        "error",
        "row",
        "A column is there in two spellings with different values.",
        "Delete one of the two columns.",
        "column names of Table Storage differ by letter case, people do not",
    ),
    Rule(
        "spelt_twice",
        "warning",
        "row",
        "A column is there in two spellings with the same value.",
        "Delete one of the two columns, before somebody edits only one.",
        "column names of Table Storage differ by letter case, people do not",
    ),
    Rule(
        "near_column",
        "warning",
        "row",
        "A column that nothing reads has nearly the name of one.",
        "Rename it to mode, mx, max_age or note, or delete it.",
        "serving ignores it",
    ),
    Rule(
        "unknown_column",
        "info",
        "row",
        "Nothing reads a column.",
        "Delete it, unless people or other tools need it.",
        "serving ignores it",
    ),
    Rule(
        "onmicrosoft_domain",
        "warning",
        "row",
        "The policy domain lies in onmicrosoft.com.",
        "Remove it and look after domains whose DNS is yours.",
        "onmicrosoft.com is Microsoft's zone: the records that MTA-STS needs can hardly be made there",
    ),
)

RULES = {rule.code: rule for rule in _ALL}
