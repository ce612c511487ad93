/** @file What every backend must promise besides values: checks, tensors that stay, order, ends. It takes a backend and knows none. */
import { mkdtempSync, rmSync, symlinkSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  add,
  concat,
  constant,
  gather,
  input,
  matmul,
  multiply,
  program,
  reshape,
  scalar,
  scale,
  slice,
  weight,
  weightOf,
  type Tensor,
} from "../src/graph/index.ts";
import type { Backend, Feed, Resident, Store } from "../src/runtime/index.ts";
import { f32, i32, LowrankError, type HostTensor } from "../src/util/index.ts";
import { evaluate } from "./evaluate.ts";
import { storedWeight } from "./op-cases.ts";

const scalar1 = constant(f32([1]));

const doubled = () => program({ y: multiply(input("x", [1, 3]), scalar(2)) });

// Rows (2, 2, 1, 2) to be stored into (2, 2, 4, 2) along axis 2.
const rows = f32([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 1, 2]);
const cacheShape = [2, 2, 4, 2];
const copier = () => program({ y: add(input("x", [2, 2, 1, 2]), scalar(0)) });

const wrongStores: readonly (readonly [about: string, shape: readonly number[], entry: Omit<Store, "into" | "output">])[] = [
  ["an offset past the end", cacheShape, { axis: 2, offsets: [0, 4] }],
  ["a negative offset", cacheShape, { axis: 2, offsets: [-1, 0] }],
  ["a broken offset", cacheShape, { axis: 2, offsets: [0.5, 0] }],
  ["an offset that is no number", cacheShape, { axis: 2, offsets: [NaN, 0] }],
  ["too few offsets", cacheShape, { axis: 2, offsets: [0] }],
  ["too many offsets", cacheShape, { axis: 2, offsets: [0, 0, 0] }],
  ["the leading axis", cacheShape, { axis: 0, offsets: [0, 0] }],
  ["no axis of the tensors", cacheShape, { axis: 4, offsets: [0, 0] }],
  ["another size elsewhere", [2, 3, 4, 2], { axis: 2, offsets: [0, 0] }],
  ["another rank", [2, 2, 4, 2, 1], { axis: 2, offsets: [0, 0] }],
];

/** Adds tests of a backend's promises; `skips` gives the reason why one, by its title, is not tried. */
export const describeBackend = (name: string, create: () => Backend, skips: Readonly<Record<string, string>> = {}): void => {
  describe(`promises of ${name}`, () => {
    let backend: Backend;
    beforeAll(() => {
      backend = create();
    });
    afterAll(() => backend.dispose());

    const promise = (title: string, body: () => Promise<void>): void => {
      it(title, async ({ skip }) => {
        if (skips[title] !== undefined) skip(skips[title]);
        await body();
      });
    };
    const refused = (call: Promise<unknown>, message: string | RegExp, code = "invalid-argument"): Promise<void> =>
      expect(call).rejects.toSatisfy((error: unknown) => {
        if (!LowrankError.is(error)) throw new Error("The error is not typed.", { cause: error });
        expect(error.message).toMatch(message);
        expect(error.code).toBe(code);
        return true;
      });

    promise("refuses feeds that do not fit the program", async () => {
      const executable = await backend.compile(doubled());
      const feed = (data: readonly number[], shape?: readonly number[]): Record<string, Feed> => ({ x: f32(data, shape) });
      await refused(executable.run({}), /"x" is not fed/);
      await refused(executable.run({ ...feed([1, 2, 3], [1, 3]), z: f32([1]) }), /no input "z"/);
      await refused(executable.run(feed([1, 2, 3])), /"x" is f32 \[1, 3\], not f32 \[3\]/);
      await refused(executable.run({ x: i32([1, 2, 3], [1, 3]) }), /"x" is f32 \[1, 3\], not i32 \[1, 3\]/);
      await refused(executable.run(feed([1, 2], [1, 3])), /"x" has 2 values where its shape takes 3/);
      await refused(executable.run({ x: { dtype: "f32", shape: [1, 3], data: new Float64Array(3) } }), /comes as Float64Array/);
      const resident = await backend.upload(f32([1, 2, 3]));
      await refused(executable.run({ x: resident }), /"x" is f32 \[1, 3\], not f32 \[3\]/);
      await refused(backend.upload({ dtype: "f32", shape: [2], data: new Float32Array(3) }), /has 3 values where its shape takes 2/);
      expect(await executable.run(feed([1, 2, 3], [1, 3]))).toEqual({ y: f32([2, 4, 6], [1, 3]) });
    });

    promise("returns inputs, constants, weights and one tensor under two names", async () => {
      const x = input("x", [2]);
      const one = constant(f32([1, 2]));
      const outputs = { same: x, one, again: one, stored: storedWeight(f32([5])) };
      const expected = { same: f32([3, 4]), one: f32([1, 2]), again: f32([1, 2]), stored: f32([5]) };
      expect(await evaluate(outputs, { x: f32([3, 4]) }, backend)).toEqual(expected);
      expect(await evaluate({ one }, {}, backend)).toEqual({ one: f32([1, 2]) });
    });

    promise("takes any names", async () => {
      const names = ["zero", "v0", "c0", "w0", "Identity", "a.b/c 1"];
      const inputs = names.map((each) => input(each, [1]));
      const y = inputs.reduce((sum, each) => add(sum, multiply(each, scalar(2))));
      const feeds = Object.fromEntries(names.map((each, index) => [each, f32([index])]));
      expect(await evaluate({ v1: y, c1: scalar(1) }, feeds, backend)).toEqual({ v1: f32([30]), c1: f32([1], []) });
    });

    promise("hands out arrays that belong to the caller, and leaves fed ones alone", async () => {
      const x = input("x", [2]);
      const executable = await backend.compile(program({ same: x, one: constant(f32([1, 2])), y: add(x, scalar(1)) }));
      const feed = f32([3, 4]);
      const first = (await executable.run({ x: feed })) as Record<string, HostTensor>;
      for (const { data } of Object.values(first)) data.fill(9 as never);
      expect(feed).toEqual(f32([3, 4]));
      expect(await executable.run({ x: feed })).toEqual({ same: f32([3, 4]), one: f32([1, 2]), y: f32([4, 5]) });
    });

    promise("takes views into larger buffers", async () => {
      const whole = Float32Array.of(0, 1, 2, 3, 4);
      const executable = await backend.compile(doubled());
      const view = f32(whole.subarray(1, 4), [1, 3]);
      expect(await executable.run({ x: view })).toEqual({ y: f32([2, 4, 6], [1, 3]) });
      expect(await executable.run({ x: await backend.upload(view) })).toEqual({ y: f32([2, 4, 6], [1, 3]) });
    });

    promise("reads pieces of a vector and returns joined pieces as one", async () => {
      const [flat, other] = [input("flat", [7]), input("other", [3])];
      const [a, b] = [reshape(slice(flat, 0, 0, 4), [2, 2]), slice(flat, 0, 4, 7)];
      const first = slice(flat, 0, 0, 1); // overlaps with a
      const outputs = {
        joined: concat([reshape(multiply(a, scalar(2)), [-1]), add(b, first), b, scalar1, reshape(a, [-1])], 0),
        wholes: concat([other, slice(other, 0, 1, 2)], 0), // read whole and in a piece
        sliced: concat([reshape(a, [4]), first], 0),
      };
      const feeds = { flat: f32([1, 2, 3, 4, 5, 6, 7]), other: f32([8, 9, 10]) };
      const expected = {
        joined: f32([2, 4, 6, 8, 6, 7, 8, 5, 6, 7, 1, 1, 2, 3, 4]),
        wholes: f32([8, 9, 10, 9]),
        sliced: f32([1, 2, 3, 4, 1]),
      };
      expect(await evaluate(outputs, feeds, backend)).toEqual(expected);
      const executable = await backend.compile(program(outputs));
      const flatResident = await backend.upload(feeds.flat);
      expect(await executable.run({ ...feeds, flat: flatResident }, { keep: ["wholes"] })).toMatchObject({ joined: expected.joined });
      const kept = await executable.run(feeds, { keep: ["joined"] });
      expect(await backend.download(kept["joined"] as Resident)).toEqual(expected.joined);
    });

    promise("takes memory for outputs and gives lent feeds back", async () => {
      const x = input("x", [4]);
      const y = concat([scale(slice(x, 0, 2, 4), 2), slice(x, 0, 0, 2)], 0);
      const executable = await backend.compile(program({ y, z: reshape(scale(x, 3), [2, 2]) }));
      const feed = f32([1, 2, 3, 4]);
      let into = { y: f32(new Float32Array(4)), z: f32(new Float32Array(4), [2, 2]) };
      const expected = { x: f32([1, 2, 3, 4]), y: f32([6, 8, 1, 2]), z: f32([3, 6, 9, 12], [2, 2]) };
      let outputs = await executable.run({ x: feed }, { lend: ["x"], into });
      expect(outputs).toEqual(expected);
      // What came back goes in once more.
      into = { y: outputs["y"], z: outputs["z"] } as typeof into;
      outputs = await executable.run({ x: outputs["x"] }, { lend: ["x"], into });
      expect(outputs).toEqual(expected);
      const { x: lent, y: again } = outputs as Record<string, HostTensor>;
      await refused(executable.run({ x: lent }, { lend: ["y"] }), /"y" is no host tensor among the feeds/);
      await refused(executable.run({ x: lent }, { into: { z: again } }), /"z" is f32 \[2, 2\], its memory f32 \[4\]/);
      await refused(executable.run({ x: lent }, { keep: ["y"], into: { y: again } }), /returns no output "y"/);
      await refused(executable.run({ x: lent }, { into: { q: again } }), /returns no output "q"/);
      expect(await executable.run({ x: lent })).toEqual({ y: expected.y, z: expected.z });
    });

    promise("keeps outputs, which feed other programs", async () => {
      const executable = await backend.compile(doubled());
      const kept = await executable.run({ x: f32([1, 2, 3], [1, 3]) }, { keep: ["y"] });
      expect(kept).toEqual({ y: { id: expect.any(Number) as number, dtype: "f32", shape: [1, 3] } });
      const y = kept["y"] as Resident;
      expect(await executable.run({ x: y })).toEqual({ y: f32([4, 8, 12], [1, 3]) });
      const other = await backend.compile(program({ z: slice(input("q", [1, 3]), 1, 1, 2) }));
      expect(await other.run({ q: y })).toEqual({ z: f32([4], [1, 1]) });
      await executable.dispose();
      expect(await backend.download(y)).toEqual(f32([2, 4, 6], [1, 3]));
      await refused(other.run({ q: y }, { keep: ["y"] }), /no output "y"/);
    });

    promise("copies on upload and on download", async () => {
      const host = f32([1, 2]);
      const resident = await backend.upload(host);
      host.data[0] = 9;
      const copy = await backend.download(resident);
      expect(copy).toEqual(f32([1, 2]));
      copy.data[0] = 9;
      expect(await backend.download(resident)).toEqual(f32([1, 2]));
    });

    promise("stores rows at their offsets and returns nothing for them", async () => {
      const executable = await backend.compile(copier());
      const into = await backend.upload(f32(new Float32Array(32), cacheShape));
      const other = await backend.upload(f32(new Float32Array(8), [2, 2, 1, 2]));
      const store: Store[] = [
        { output: "y", into, axis: 2, offsets: [1, 3] },
        { output: "y", into: other, axis: 2, offsets: [0, 0] },
      ];
      expect(await executable.run({ x: rows }, { store })).toEqual({});
      const expected = [
        [0, 0, 1, 2, 0, 0, 0, 0],
        [0, 0, 3, 4, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 5, 6],
        [0, 0, 0, 0, 0, 0, 7, 8],
      ];
      expect(await backend.download(into)).toEqual(f32(expected.flat(), cacheShape));
      expect(await backend.download(other)).toEqual(rows);
      const kept = await executable.run({ x: rows }, { store, keep: ["y"] });
      expect(await backend.download(kept["y"] as Resident)).toEqual(rows);
    });

    promise("stores rows from a row on", async () => {
      const executable = await backend.compile(copier());
      const into = await backend.allocate([3, 2, 2, 2]);
      await executable.run({ x: rows }, { store: [{ output: "y", into, axis: 2, row: 1, offsets: [1, 0] }] });
      const expected = [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 1, 2, 0, 0, 3, 4],
        [5, 6, 0, 0, 7, 8, 0, 0],
      ];
      expect(await backend.download(into)).toEqual(f32(expected.flat(), [3, 2, 2, 2]));
      for (const row of [-1, 2, 0.5]) {
        const store: Store[] = [{ output: "y", into, axis: 2, row, offsets: [0, 0] }];
        await refused(executable.run({ x: rows }, { store }), new RegExp(`at 0, 0 along axis 2 from row ${row}`));
      }
      expect(await backend.download(into)).toEqual(f32(expected.flat(), [3, 2, 2, 2]));
    });

    promise("writes single rows into what it has allocated", async () => {
      const into = await backend.allocate([3, 2]);
      await backend.write(into, 1, f32(Float32Array.of(9, 1, 2).subarray(1)));
      expect(await backend.download(into)).toEqual(f32([0, 0, 1, 2, 0, 0], [3, 2]));
      await refused(backend.write(into, 3, f32([1, 2])), /f32 \[2\] is not row 3 of f32 \[3, 2\]/);
      await refused(backend.write(into, -1, f32([1, 2])), /not row -1/);
      await refused(backend.write(into, 0, f32([1, 2, 3])), /f32 \[3\] is not row 0/);
      await refused(backend.write(into, 0, i32([1, 2])), /i32 \[2\] is not row 0/);
      expect(await backend.download(into)).toEqual(f32([0, 0, 1, 2, 0, 0], [3, 2]));
      await backend.release(into);
      await refused(backend.write(into, 0, f32([1, 2])), /after its release/);
    });

    promise("copies what stays over the beginning of what is larger", async () => {
      const small = await backend.upload(rows);
      const large = await backend.upload(f32(new Float32Array(48).fill(9), [3, 2, 4, 2]));
      await backend.copy(small, large, 2);
      const over = (a: number, b: number): number[] => [a, b, 9, 9, 9, 9, 9, 9];
      const expected = f32(
        [...over(1, 2), ...over(3, 4), ...over(5, 6), ...over(7, 8), ...Array.from({ length: 16 }, () => 9)],
        [3, 2, 4, 2],
      );
      expect(await backend.download(large)).toEqual(expected);
      for (const [from, into, axis] of [
        [large, small, 2],
        [small, large, 3],
        [small, large, 0],
      ] as const)
        await refused(backend.copy(from, into, axis), new RegExp(`does not fit over the beginning of f32 .* along axis ${axis}`));
      expect(await backend.download(large)).toEqual(expected);
      await backend.release(small);
      await refused(backend.copy(small, large, 2), /after its release/);
    });

    promise("refuses stores that do not fit, before it writes anything", async () => {
      const executable = await backend.compile(copier());
      const good = await backend.upload(f32(new Float32Array(32), cacheShape));
      const first: Store = { output: "y", into: good, axis: 2, offsets: [0, 0] };
      for (const [about, shape, entry] of wrongStores) {
        const into = await backend.upload(f32(new Float32Array(shape.reduce((a, b) => a * b)), shape));
        const text = new RegExp(
          `"y" f32 \\[2, 2, 1, 2\\] does not fit into f32 \\[${shape.join(", ")}\\] at ${entry.offsets.join(", ")} along`,
        );
        await refused(executable.run({ x: rows }, { store: [first, { output: "y", into, ...entry }] }), text);
        expect(
          (await backend.download(into)).data.every((value) => value === 0),
          about,
        ).toBe(true);
      }
      const integers = await backend.upload(i32(new Int32Array(32), cacheShape));
      await refused(executable.run({ x: rows }, { store: [{ ...first, into: integers }] }), /f32 \[2, 2, 1, 2\] does not fit into i32/);
      await refused(executable.run({ x: rows }, { store: [{ ...first, output: "z" }] }), /no output "z"/);
      const gone = await backend.upload(f32(new Float32Array(32), cacheShape));
      await backend.release(gone);
      await refused(executable.run({ x: rows }, { store: [first, { ...first, into: gone }] }), /after its release/);
      expect((await backend.download(good)).data.every((value) => value === 0)).toBe(true);
    });

    promise("refuses what was released or disposed", async () => {
      const executable = await backend.compile(doubled());
      const resident = await backend.upload(f32([1, 2, 3], [1, 3]));
      await backend.release(resident);
      await backend.release(resident);
      await refused(executable.run({ x: resident }), /after its release/);
      await refused(backend.download(resident), /after its release/);
      await executable.dispose();
      await executable.dispose();
      await refused(executable.run({ x: f32([1, 2, 3], [1, 3]) }), /after its disposal/);
    });

    promise("runs in the order of the calls", async () => {
      const counter = await backend.upload(f32([0, 0], [1, 2]));
      const store: Store[] = [{ output: "y", into: counter, axis: 1, offsets: [0] }];
      const executable = await backend.compile(program({ y: add(multiply(input("x", [1, 2]), scalar(2)), input("k", [])) }));
      const runs = [1, 2, 3, 4, 5].map((k) => executable.run({ x: counter, k: f32([k], []) }, { store }));
      // Nothing was waited for: what is asked for later sees what was asked for earlier, and nothing else.
      const [middle, later, end] = [
        backend.download(counter),
        executable.run({ x: counter, k: f32([0], []) }, { store }),
        backend.download(counter),
      ];
      const released = backend.release(counter);
      // x ← 2x + k tells the order of the ks apart.
      expect(await middle).toEqual(f32([57, 57], [1, 2]));
      expect(await end).toEqual(f32([114, 114], [1, 2]));
      await Promise.all([...runs, later, released]);
    });

    promise("holds several programs at once", async () => {
      const factors = [1, 2, 3];
      const executables = await Promise.all(
        factors.map((k) => backend.compile(program({ y: multiply(input("x", [2]), constant(f32([k, k]))) }))),
      );
      await executables[0].dispose();
      const results = await Promise.all(executables.slice(1).map((each) => each.run({ x: f32([1, 2]) })));
      expect(results).toEqual([{ y: f32([2, 4]) }, { y: f32([3, 6]) }]);
    });

    describe("weights in files", () => {
      const folder = mkdtempSync(join(tmpdir(), "lowrank-"));
      afterAll(() => rmSync(folder, { recursive: true }));
      const values = f32(Array.from({ length: 64 }, (_, index) => index));
      const product = (w: Tensor) =>
        evaluate({ y: matmul(input("x", [1, 64]), w, { transposeB: true }) }, { x: f32(values.data as Float32Array, [1, 64]) }, backend);
      const expected = { y: f32([85344], [1, 1]) };
      const located = (before: number) => weightOf(storedWeight({ ...values, shape: [1, 64] }, before))!.location;

      promise("read a weight at any offset", async () => {
        for (const before of [0, 8, 1, 3, 4096]) expect(await product(weight("w", located(before)))).toEqual(expected);
      });

      promise("read a weight through links", async () => {
        const location = located(8);
        const link = join(folder, "link.bin");
        symlinkSync(location.path, link);
        expect(await product(weight("w", { ...location, path: link }))).toEqual(expected);
        const linked = join(folder, "folder");
        symlinkSync(join(location.path, ".."), linked);
        expect(await product(weight("w", { ...location, path: join(linked, location.path.split("/").at(-1)!) }))).toEqual(expected);
      });

      promise("refuse a file that is missing or cut short", async () => {
        const location = located(8);
        const missing = program({ y: weight("w", { ...location, path: join(folder, "missing.bin") }) });
        await refused(backend.compile(missing), /missing\.bin/, "backend-failed");
        truncateSync(location.path, 100);
        await refused(backend.compile(program({ y: weight("w", location) })), /./, "backend-failed");
      });
    });

    promise("rejects with a typed error when a run fails, and runs on", async () => {
      const executable = await backend.compile(program({ y: gather(input("x", [3]), input("at", [1], "i32")) }));
      const x = f32([1, 2, 3]);
      await refused(executable.run({ x, at: i32([3]) }), /3/, "backend-failed");
      expect(await executable.run({ x, at: i32([2]) })).toEqual({ y: f32([3]) });
    });

    promise("refuses everything but a release after its disposal", async () => {
      const brief = create();
      const executable = await brief.compile(doubled());
      const x = f32([1, 2, 3], [1, 3]);
      const resident = await brief.upload(x);
      await brief.dispose();
      await brief.dispose();
      for (const call of [
        brief.compile(doubled()),
        brief.upload(x),
        brief.copy(resident, resident, 1),
        brief.download(resident),
        executable.run({ x }),
      ])
        await refused(call, /has been disposed/, "backend-failed");
      await executable.dispose();
      await brief.release(resident);
    });
  });
};
