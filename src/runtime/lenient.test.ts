import { expect, it } from "vitest";
import { add, input, program } from "../graph/index.ts";
import { f32 } from "../util/index.ts";
import { compileLenient } from "./lenient.ts";
import { referenceBackend } from "./reference.ts";

it("takes what it needs of what it is fed, and still misses what it needs", async () => {
  const executable = await compileLenient(referenceBackend(), program({ y: add(input("a", [1]), input("b", [1])) }));
  const feeds = { a: f32([1]), b: f32([2]), c: f32([4]) };
  expect(await executable.run(feeds)).toEqual({ y: f32([3]) });
  await expect(executable.run({ a: f32([1]), c: f32([4]) })).rejects.toThrow('The input "b" is not fed.');
  await executable.dispose();
});
