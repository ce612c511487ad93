/** @file A backend that counts what it holds, so that tests see what was not freed. */
import type { Backend, Resident } from "../src/runtime/index.ts";

export interface Held {
  /** Uploaded or kept, and not released. */
  readonly residents: number;
  /** Compiled and not disposed. */
  readonly programs: number;
}

export interface CountingBackend extends Backend {
  held(): Held;
  /** Uploads, allocations among them, and compilations so far. */
  made(): Held;
  /** Runs of all programs so far. */
  runs(): number;
}

/** Wraps a backend. */
export const countingBackend = (backend: Backend): CountingBackend => {
  const residents = new Set<number>();
  let [uploads, compiled, open, runs] = [0, 0, 0, 0];
  return {
    ...backend,
    upload: async (tensor): Promise<Resident> => {
      const resident = await backend.upload(tensor);
      residents.add(resident.id);
      uploads++;
      return resident;
    },
    allocate: async (shape) => {
      const resident = await backend.allocate(shape);
      residents.add(resident.id);
      uploads++;
      return resident;
    },
    release: async (resident) => {
      await backend.release(resident);
      residents.delete(resident.id);
    },
    compile: async (graph) => {
      const executable = await backend.compile(graph);
      compiled++;
      open++;
      let closed = false;
      return {
        run: async (feeds, options) => {
          runs++;
          const outputs = await executable.run(feeds, options);
          for (const name of options?.keep ?? []) residents.add((outputs[name] as Resident).id);
          return outputs;
        },
        dispose: async () => {
          if (!closed) open--;
          closed = true;
          await executable.dispose();
        },
      };
    },
    held: () => ({ residents: residents.size, programs: open }),
    made: () => ({ residents: uploads, programs: compiled }),
    runs: () => runs,
  };
};
