import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CheckpointSaved, TrainEvent } from "./events.ts";
import { openJsonlLog } from "./jsonl-log.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lowrank-log-"));
  path = join(folder, "log.jsonl");
});
afterEach(() => rmSync(folder, { recursive: true }));

const saved = (step: number): CheckpointSaved => ({ type: "checkpoint-saved", step, path: `step-${step}`, kind: "last" });
const compiled: TrainEvent = { type: "compile-end", shape: [4, 256], seconds: 0.5 };
const now = (): Date => new Date("2026-01-02T03:04:05.678Z");
const lineOf = (event: TrainEvent): string => `${JSON.stringify({ time: "2026-01-02T03:04:05.678Z", ...event })}\n`;
const write = (events: readonly TrainEvent[], resumedStep?: number): void => {
  const log = openJsonlLog(path, { now, ...(resumedStep !== undefined && { resumedStep }) });
  events.forEach(log.write);
  log.close();
};
const content = (): string => readFileSync(path, "utf8");

describe("openJsonlLog", () => {
  it("writes one line per event, at once", () => {
    const log = openJsonlLog(path, { now });
    log.write(compiled);
    expect(content()).toBe('{"time":"2026-01-02T03:04:05.678Z","type":"compile-end","shape":[4,256],"seconds":0.5}\n');
    log.write(saved(1));
    expect(content().split("\n")).toHaveLength(3);
    log.close();
  });

  it("starts anew for a new run and continues for a resumed one without doubles", () => {
    write([saved(9)]);
    write([compiled, saved(1), saved(2), compiled, saved(3), saved(4)]);
    write([compiled, saved(3), saved(4), saved(5)], 2);
    expect(content()).toBe([compiled, saved(1), saved(2), compiled, compiled, saved(3), saved(4), saved(5)].map(lineOf).join(""));
  });

  it.each([
    ["cut short", '{"time":"2026-01-02T03:04'],
    ["whole but without its end", lineOf(saved(2)).trimEnd()],
  ])("drops a last line that is %s", (_, tail) => {
    writeFileSync(path, lineOf(saved(1)) + tail);
    write([saved(2)], 2);
    expect(content()).toBe(lineOf(saved(1)) + lineOf(saved(2)));
  });

  it("keeps letters of several bytes and lines it cannot read", () => {
    const strange = `${lineOf({ ...saved(1), path: "Größe ½ 🙂" })}not json\n`;
    writeFileSync(path, strange + lineOf(saved(7)));
    write([saved(2)], 1);
    expect(content()).toBe(strange + lineOf(saved(2)));
  });

  it("begins an empty log when there is none to continue", () => {
    write([saved(5)], 4);
    expect(content()).toBe(lineOf(saved(5)));
  });

  it("says which file cannot be written", () => {
    expect(() => openJsonlLog(join(folder, "missing", "log.jsonl"))).toThrow(
      /missing\/log\.jsonl: The training log cannot be written: ENOENT/,
    );
  });

  it.skipIf(!existsSync("/dev/full"))("reports a full disk", () => {
    const log = openJsonlLog("/dev/full");
    expect(() => log.write(compiled)).toThrow(
      /\/dev\/full: The training log cannot be written: ENOSPC.* checkpoints that were saved are intact/,
    );
    log.close();
  });
});
