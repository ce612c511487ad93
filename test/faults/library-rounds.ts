/** @file Rounds in which a process that works on a library is killed, or two work on one at once, and what must hold afterwards. Every failure throws. */
import { strict as assert } from "node:assert";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { openLibrary, type Library } from "../../src/library/index.ts";
import { folderRemote } from "../../src/library/remotes/folder.ts";
import { writeAdapter } from "../../src/library/small-adapter.fixture.ts";
import { random, type Random } from "../../src/util/index.ts";

const worker = resolve(import.meta.dirname, "library-worker.ts");

interface Worker {
  readonly child: ChildProcess;
  /** Resolves when it is about to begin. */
  readonly ready: Promise<unknown>;
  /** What it said was done, once it has ended; anything but a kill or success is an error. */
  readonly ended: Promise<readonly string[]>;
}

const start = (...words: readonly string[]): Worker => {
  const child = spawn(process.execPath, ["--import", "tsx", worker, ...words], { stdio: ["ignore", "pipe", "pipe"] });
  let [said, complaint] = ["", ""];
  let isReady: (value?: unknown) => void;
  const ready = new Promise((done) => (isReady = done));
  child.stdout.on("data", (text: Buffer) => {
    said += String(text);
    if (said.startsWith("ready\n")) isReady();
  });
  child.stderr.on("data", (text: Buffer) => (complaint += String(text)));
  const ended = once(child, "close").then(([code, signal]) => {
    isReady();
    assert.ok(code === 0 || signal === "SIGKILL", `${words[0]} ended with ${code}: ${complaint}`);
    return said.split("\n").slice(1, -1); // the last line may be cut
  });
  return { child, ready, ended };
};

/** Runs a task and kills it so many milliseconds after it begins, if it is still at work. */
const killed = async (delay: number, ...words: readonly string[]): Promise<readonly string[]> => {
  const { child, ready, ended } = start(...words);
  await ready;
  await wait(delay);
  child.kill("SIGKILL");
  return ended;
};

const using = async <Result>(folder: string, act: (library: Library) => Promise<Result>): Promise<Result> => {
  const library = await openLibrary(folder, { create: true });
  try {
    return await act(library);
  } finally {
    library.close();
  }
};

/** Nothing is damaged, and these are there, by `name@version digest`. Traces of the killed process are not damage; they can be collected. */
const holds = (folder: string, published: readonly string[]): Promise<void> =>
  using(folder, async (library) => {
    for (let pass = 0; pass < 2; pass++) {
      for await (const { kind, what, problems } of library.verify())
        assert.ok(kind === "sound" || (pass === 0 && kind !== "damaged"), `${kind} ${what}: ${problems.join(" ")}`);
      for (const line of published) {
        const [reference, digest] = line.split(" ");
        assert.equal((await library.get(reference)).digest, digest);
      }
      for await (const _ of library.collect({ leftAfter: 0 }));
    }
  });

/** Small adapters in folders 0, 1, 2 …; enough bytes that a kill can fall into a file. */
export const writeMaterial = async (folder: string, count: number): Promise<void> => {
  for (let number = 0; number < count; number++) await writeAdapter(join(folder, String(number)), number, { width: 4096 });
};

export interface Rounds {
  /** An empty folder to work in. */
  readonly folder: string;
  readonly seed: number;
  readonly rounds: number;
}

/** A round for each fault: gives how far the killed process had come, as a share. */
type Fault = (folder: string, draw: Random) => Promise<number>;

const adapters = 16;

/** Some milliseconds, up to what the task takes and a little more. */
const moment = (draw: Random, most: number): number => Math.floor(draw.uniform() * most);

const material = (folder: string): string => join(folder, "..", "material");

/** Adds all of the adapters that are not there yet; gives what is published then. */
const addAll = (to: string, folder: string): Promise<readonly string[]> =>
  using(to, async (library) => {
    const lines: string[] = [];
    for (let number = 0; number < adapters; number++) {
      const { record, version } = await library.add(join(material(folder), String(number)), { name: `adapter-${number}` });
      lines.push(`${version.name}@${version.version} ${record.digest}`);
    }
    return lines;
  });

/** A copy of a library with all of the adapters, and what is published there. */
const prepared = async (folder: string, to: string): Promise<readonly string[]> => {
  const original = join(folder, "..", "prepared");
  const published = await addAll(original, folder);
  cpSync(original, to, { recursive: true });
  return published;
};

export const faults: Readonly<Record<string, Fault>> = {
  "a killed add loses nothing that it published": async (folder, draw) => {
    const library = join(folder, "library");
    const done = await killed(moment(draw, 250), "add", library, material(folder), "0", String(adapters - 1));
    await holds(library, done);
    await holds(library, await addAll(library, folder));
    await using(library, async (one) => assert.equal((await one.search()).total, adapters));
    return done.length / adapters;
  },
  "a killed pull goes on, and loses nothing on either side": async (folder, draw) => {
    const [here, there] = [join(folder, "here"), join(folder, "there")];
    const published = await prepared(folder, there);
    const done = await killed(moment(draw, 300), "pull", here, there);
    await using(here, async () => undefined);
    await holds(here, done);
    const remote = await folderRemote(there);
    await using(here, (library) => library.pull(remote));
    await remote.close();
    await holds(here, published);
    await holds(there, published);
    return done.length / adapters;
  },
  "a killed gc takes nothing that has a name, and the next takes the rest": async (folder, draw) => {
    const library = join(folder, "library");
    const published = await prepared(folder, library);
    const kept = published.filter((_, index) => index % 3 === 0);
    await using(library, async (one) => {
      for (const line of published) if (!kept.includes(line)) await one.remove(line.split(" ")[0]);
    });
    const done = await killed(moment(draw, 60), "gc", library);
    await holds(library, kept);
    await using(library, async (one) => {
      for await (const finding of one.collect()) assert.fail(`left: ${finding.what}`);
      assert.equal((await one.search()).total, kept.length);
    });
    return done.length / (published.length - kept.length);
  },
  "a killed rebuild leaves an index that is right, or none": async (folder, draw) => {
    const library = join(folder, "library");
    const published = await prepared(folder, library);
    const done = await killed(moment(draw, 120), "rebuild", library, "20");
    await using(library, async (one) => assert.equal((await one.search()).total, adapters));
    await holds(library, published);
    return done.length / 20;
  },
};

/** Does the rounds of one fault; gives how far each killed process had come. */
export const runFault = async (name: string, { folder, seed, rounds }: Rounds): Promise<number[]> => {
  const shares: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const place = join(folder, `round-${round}`);
    mkdirSync(place);
    shares.push(await faults[name](place, random(seed, round)));
    rmSync(place, { recursive: true });
  }
  return shares;
};

/** Two processes add as many adapters each at once, to one name and to many, while a third reads: all are there, each with a number of its own. */
export const runTwoWriters = async (folder: string, each: number): Promise<void> => {
  const library = join(folder, "library");
  (await openLibrary(library, { create: true })).close();
  const watcher = start("watch", library, String(2 * each));
  const writers = [
    start("add", library, join(folder, "material"), "0", String(each - 1), "shared"),
    start("add", library, join(folder, "material"), String(each), String(2 * each - 1), "shared"),
  ];
  const published = (await Promise.all(writers.map(({ ended }) => ended))).flat();
  await watcher.ended;
  assert.equal(published.length, 2 * each);
  const numbers = published.map((line) => Number(/^shared@(\d+) /.exec(line)![1])).sort((a, b) => a - b);
  assert.deepEqual(
    numbers,
    Array.from({ length: 2 * each }, (_, index) => index + 1),
  );
  await holds(library, published);
  // The folder alone gives the same again.
  cpSync(join(library, "adapters"), join(folder, "copy", "adapters"), { recursive: true });
  await holds(join(folder, "copy"), published);
};
