/**
 * @file Many adapters in one folder: add them, find them by what is said of them, give one a name that moves, and use it.
 * Run it with `npx tsx examples/03-library.ts`; it takes a few seconds and writes to a temporary folder.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadModel } from "../src/index.ts";
import { openLibrary } from "../src/library/index.ts";

const root = join(import.meta.dirname, "..");
const folder = await mkdtemp(join(tmpdir(), "lowrank-library-"));
const library = await openLibrary(join(folder, "adapters"), { create: true });

// An adapter is kept by the digest of its weights, its configuration and its base. A name has versions, which never change.
for (const task of ["pirate", "weather"]) {
  const { record, version } = await library.add(join(root, "assets/adapters", task), {
    name: `demo/${task}`,
    tags: ["language=en", `task=${task}`],
    notes: `Learnt from assets/data/${task}.`,
  });
  console.log(
    `${version.name}@${version.version} is ${record.digest.slice(0, 19)}…, trained on the base ${record.lineage.base?.slice(0, 19)}…`,
  );
}

// The index answers by tag, metric, base and word; the folder alone can give it again.
const { entries } = await library.search({ tags: ["language=en"], text: "weath" });
console.log(`found: ${entries.map(({ name, version }) => `${name}@${version}`).join(", ")}`);

// An alias stands for one version until it is moved; who asks for it needs to know nothing else.
await library.setAlias("demo/weather@1", "prod");
const record = await library.get("demo/weather:prod");

const model = await loadModel(join(root, "assets/tiny"));
const adapter = await model.loadAdapter(library.path(record));
let text = "";
for await (const piece of model.generate("It was a cold night at the lake, and snow fell from the sky.", {
  adapters: [{ ...adapter, weight: 1 }],
  temperature: 0,
  maxTokens: 40,
}))
  text += piece;
console.log(`with demo/weather:prod: ${text.trim()}`);
await model.close();

// Everything is read through and compared with its digest.
for await (const { kind, what } of library.verify()) console.log(`${what} is ${kind}`);
library.close();
await rm(folder, { recursive: true });
