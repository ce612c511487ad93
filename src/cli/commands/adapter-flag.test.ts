import { describe, expect, it } from "vitest";
import { parseAdapter } from "./adapter-flag.ts";

const folders = ["runs/tales", "runs/v1:2", "C:\\adapters\\tales", "C:"];
const exists = (path: string): boolean => folders.includes(path);

describe("parseAdapter", () => {
  it.each<[string, string, number]>([
    ["runs/tales", "runs/tales", 1],
    ["runs/tales:0.5", "runs/tales", 0.5],
    ["runs/tales:-1", "runs/tales", -1],
    ["runs/tales:2e-1", "runs/tales", 0.2],
    ["runs/tales:.5", "runs/tales", 0.5],
    ["runs/v1:2", "runs/v1:2", 1],
    ["runs/v1:2:3", "runs/v1:2", 3],
    ["C:\\adapters\\tales", "C:\\adapters\\tales", 1],
    ["C:\\adapters\\tales:0.5", "C:\\adapters\\tales", 0.5],
    ["C:\\adapters\\absent", "C:\\adapters\\absent", 1],
    ["org/adapter", "org/adapter", 1],
    ["org/adapter:0.25", "org/adapter", 0.25],
    ["absent:half", "absent:half", 1],
    ["tales:prod", "tales:prod", 1],
    ["tales:prod:0.5", "tales:prod", 0.5],
    ["tales@2:0.5", "tales@2", 0.5],
    ["sha256:123456", "sha256:123456", 1],
    ["sha256:123456:0.5", "sha256:123456", 0.5],
    [":0.5", ":0.5", 1],
  ])("reads %j as %j × %d", (text, directory, weight) => {
    expect(parseAdapter(text, exists)).toEqual({ directory, weight });
  });

  it.each(["half", "", "0x10", "1e999", "1,5", "NaN"])("refuses %j as the scale of a folder", (scale) => {
    expect(() => parseAdapter(`runs/tales:${scale}`, exists)).toThrow(
      `--adapter: ${JSON.stringify(scale)} is not a scale for runs/tales. Give a number, for example runs/tales:0.5, or leave it out.`,
    );
  });
});
