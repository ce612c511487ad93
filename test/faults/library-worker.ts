/** @file A process that works on a library until it is done or killed, and says each thing that is done. It knows nothing about who kills it. */
import { join } from "node:path";
import { openLibrary } from "../../src/library/index.ts";
import { folderRemote } from "../../src/library/remotes/folder.ts";

const [task, folder, ...rest] = process.argv.slice(2);

// Written at once: what was said is true even if the next moment is the last.
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const library = await openLibrary(folder, { create: true });

const tasks: Readonly<Record<string, () => Promise<void>>> = {
  /** Adds the adapters `from/FIRST` to `from/LAST`, each under a name of its own or all under one. */
  add: async () => {
    const [from, first, last, name] = rest;
    for (let number = Number(first); number <= Number(last); number++) {
      const { record, version } = await library.add(join(from, String(number)), {
        name: name ?? `adapter-${number}`,
        tags: [`number=${number}`],
      });
      say(`${version.name}@${version.version} ${record.digest}`);
    }
  },
  /** Brings everything from another library. */
  pull: async () => {
    const remote = await folderRemote(rest[0]);
    await library.pull(remote, { listen: (event) => (event.type === "adapter-end" ? say(`${event.adapter} ${event.digest}`) : undefined) });
  },
  /** Collects what has no name. */
  gc: async () => {
    for await (const { what } of library.collect()) say(what);
  },
  /** Makes the index anew, again and again. */
  rebuild: async () => {
    for (let time = 0; time < Number(rest[0]); time++) {
      await library.rebuild();
      say(String(time));
    }
  },
  /** Lists until it is told of as many adapters as it waits for; what it sees must be whole. */
  watch: async () => {
    for (let total = 0; total < Number(rest[0]);) {
      const found = await library.search({ everyVersion: true, limit: -1 });
      if (found.unreadable > 0) throw new Error("A record was seen half written.");
      if (found.total < total) throw new Error(`${total} adapters became ${found.total}.`);
      for (const { name, version } of found.entries) await library.get(`${name}@${version}`);
      total = found.total;
      await new Promise((done) => setTimeout(done, 20));
    }
  },
};

say("ready");
await tasks[task]();
library.close();
