// Reads texts and TXT records as mailauth does where it is not strict: JSON on standard input and output,
// `{texts: [text], records: [[record]]}` -> `{texts: [[mode, [mx]] or null], records: [whether there is an id]}`.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { parsePolicy, resolvePolicy } = createRequire(new URL("../../../dev/node/", import.meta.url))("mailauth/lib/mta-sts");

const policyOf = text => {
    try {
        const { mode, mx } = parsePolicy(text, { strict: false });
        return [mode, mx ?? []];
    } catch {
        return null;
    }
};
const hasId = async records => {
    try {
        return !!(await resolvePolicy("a.example", { strict: false, resolver: async () => records.map(each => [each]) }));
    } catch {
        return false; // two records
    }
};

const { texts, records } = JSON.parse(readFileSync(0));
console.log(JSON.stringify({ texts: texts.map(policyOf), records: await Promise.all(records.map(hasId)) }));
