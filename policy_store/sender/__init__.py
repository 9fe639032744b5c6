"""The world as a sending server sees it: what DNS, the policy host and the MX hosts of a domain answer."""
