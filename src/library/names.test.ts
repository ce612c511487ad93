import { describe, expect, it } from "vitest";
import { checkAlias, checkName, checkTag, parseReference, splitTag, type AdapterReference } from "./names.ts";

const hex = "0123456789abcdef".repeat(4);

describe("parseReference", () => {
  it.each<[string, AdapterReference]>([
    ["tales", { kind: "latest", name: "tales" }],
    ["tales:latest", { kind: "latest", name: "tales" }],
    ["team/tales.v1_b-2", { kind: "latest", name: "team/tales.v1_b-2" }],
    ["tales@12", { kind: "version", name: "tales", version: 12 }],
    ["team/tales:prod", { kind: "alias", name: "team/tales", alias: "prod" }],
    [`sha256:${hex}`, { kind: "digest", digits: hex }],
    ["sha256:012345", { kind: "digest", digits: "012345" }],
    [hex, { kind: "digest", digits: hex }],
  ])("reads %s", (text, reference) => expect(parseReference(text)).toEqual(reference));

  it.each([
    "",
    "a b",
    "../tales",
    "/tales",
    "tales/",
    "a//b",
    "tales@0",
    "tales@1.5",
    "tales@x",
    "tales:0.5",
    "a:b:c",
    "a@1@2",
    "C:\\tales",
    ".hidden",
  ])("finds no reference in %j", (text) => expect(parseReference(text)).toBeUndefined());
});

const hostile = ["", ".", "..", "../up", "a/../b", "/etc/passwd", "a\0b", "a\nb", "C:x", "a\\b", "a b", "é", "a/", "x".repeat(129)];

describe.each([
  ["checkName", checkName, ["tales", "team/tales", "v1.2"], hostile],
  ["checkAlias", checkAlias, ["prod", "v1.2"], [...hostile, "latest", "1", "a/b", "0.5"]],
  [
    "checkTag",
    checkTag,
    ["french", "language=fr", "domain=fine food", "a=b=c"],
    ["", "=x", "a=", "a\nb", " a", "a ", "a=b\0", "x".repeat(257)],
  ],
] as const)("%s", (_, check, good, bad) => {
  it.each(good)("takes %j", (text) => expect(check(text)).toBe(text));
  it.each(bad)("refuses %j", (text) => expect(() => check(text)).toThrow(expect.objectContaining({ code: "invalid-argument" })));
});

it("splits tags at the first equals sign", () => {
  expect(["french", "language=fr"].map(splitTag)).toEqual([
    ["french", ""],
    ["language", "fr"],
  ]);
});
