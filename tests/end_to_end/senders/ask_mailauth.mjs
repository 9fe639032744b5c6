// Asks mailauth for policies: `ask_mailauth.mjs DNS_PORT DOMAIN...`, see `asking.py`.

import { Resolver } from "node:dns/promises";
import https from "node:https";
import { createRequire } from "node:module";

const { getPolicy } = createRequire(new URL("../../../dev/node/", import.meta.url))("mailauth/lib/mta-sts");

// mailauth asks for a fresh agent (`agent: false`), which Node.js makes from the global agent's class, without the
// proxy that NODE_USE_ENV_PROXY gives to the global agent alone.
https.globalAgent = new (class extends https.Agent {
    constructor(options) {
        super({ ...options, proxyEnv: process.env });
    }
})();

const AT_ONCE = 4;
const [dnsPort, ...domains] = process.argv.slice(2);
const dns = new Resolver({ timeout: 2000, tries: 1 });
dns.setServers([`127.0.0.1:${dnsPort}`]);
// Strict takes nothing that the lax default refuses, and refuses what that forgives.
const options = { resolver: dns.resolve.bind(dns), strict: true };

const answers = {};
const waiting = [...domains];
const ask = async () => {
    for (let domain; (domain = waiting.shift()) !== undefined; ) {
        const { policy, status, warnings } = await getPolicy(domain, null, options);
        answers[domain] =
            status === "found" && !warnings
                ? { id: policy.id, mode: policy.mode, mx: policy.mx ?? [], max_age: policy.maxAge }
                : { error: [status, policy.error?.message, ...(warnings ?? [])].filter(Boolean).join("; ") };
    }
};
await Promise.all(Array.from({ length: AT_ONCE }, ask));
console.log(JSON.stringify(answers));
