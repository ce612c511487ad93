/** @file ONNX Runtime on the calling thread: sessions, resident tensors, runs. It blocks while it runs; `ort-node.ts` moves it to a worker. */
import { env, InferenceSession, Tensor } from "onnxruntime-node";
import type { OnnxModel, Part, StoredWeight } from "../onnx/index.ts";
import { zeroInput } from "../onnx/index.ts";
import { f32, LowrankError, messageOf, sizeOf, type HostTensor } from "../util/index.ts";
import type { CompileOptions, Feed, Resident, RunOptions } from "./backend.ts";
import { absenceError, type Device } from "./device.ts";
import { deviceWeights } from "./device-weights.ts";
import { isResident } from "./host.ts";
import { hostTensor, ortTensor } from "./ort-tensor.ts";
import { createResidents, type RunResult } from "./residents.ts";

export interface EngineOptions {
  readonly device: Device;
  /** Threads within an op. */
  readonly threads: number;
}

// Errors come back as exceptions; printed by the runtime as well they would tear the terminal view.
env.logLevel = "fatal";

const sessionOptions = (
  { device, threads }: EngineOptions,
  { root, prepacks }: Pick<OnnxModel, "root" | "prepacks">,
  { rewrites = true }: CompileOptions,
): InferenceSession.SessionOptions => ({
  executionProviders: device === "cpu" ? ["cpu"] : [device, "cpu"],
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  // Providers other than the CPU's place and fuse their nodes in these passes.
  graphOptimizationLevel: rewrites || device !== "cpu" ? "all" : "disabled",
  // With the pattern the first runs keep a second copy of every buffer; without it the peak is 40 % lower at the same speed.
  enableMemPattern: false,
  extra: {
    session: {
      // Prepacked weights are private copies; unpacked ones stay mapped from their file.
      disable_prepacking: prepacks ? "0" : "1",
      // The next op is microseconds away, so a thread spins a moment before it sleeps; without a limit it would burn its core between two steps.
      intra_op: { allow_spinning: "1", spin_duration_us: "100" },
      ...(root === undefined ? {} : { model_external_initializers_file_folder_path: root }),
    },
  },
});

/** Sessions and resident tensors by number, so that a worker can be told about them in messages. */
export interface Engine {
  compile(model: OnnxModel, options?: CompileOptions): Promise<number>;
  /** Inputs that are not fed are those residents that an earlier run was fed last. */
  run(session: number, feeds: Readonly<Record<string, Feed>>, options: RunOptions): Promise<RunResult>;
  closeSession(session: number): Promise<void>;
  upload(tensor: HostTensor): Resident;
  allocate(shape: readonly number[]): Resident;
  write(into: Resident, row: number, tensor: HostTensor): void;
  copy(from: Resident, into: Resident, axis: number): void;
  download(resident: Resident): HostTensor;
  release(resident: Resident): void;
  /** Frees every session and tensor. */
  dispose(): Promise<void>;
}

const backendError = (what: string, error: unknown): LowrankError => {
  const text = messageOf(error).trim().replace(/\.$/, "");
  return /bad_alloc|Failed to allocate|out of memory/i.test(text)
    ? new LowrankError("out-of-memory", `${what}: ${text}.`, { fix: "Lower --batch-size or --seq-length.", cause: error })
    : new LowrankError("backend-failed", `${what}: ${text}.`, { cause: error });
};

interface Compiled {
  readonly session: InferenceSession;
  readonly needsZero: boolean;
  /** Weights that the program takes as inputs. */
  readonly fed: Readonly<Record<string, Tensor>>;
  readonly weights: readonly StoredWeight[];
  readonly parts: OnnxModel["parts"];
  /** Inputs by name that are residents until they are fed anew. */
  readonly staying: Map<string, Resident>;
}

/** The parts of a tensor that lies whole. */
const split = ({ dtype, data }: HostTensor, parts: readonly Part[]): [name: string, part: Tensor][] =>
  parts.map(({ name, offset, shape }) => [name, ortTensor({ dtype, shape, data: data.subarray(offset, offset + sizeOf(shape)) })]);

/** Memory for the outputs that have some, and for those that come in parts. */
const memoryOf = (parts: OnnxModel["parts"]["outputs"], into: Readonly<Record<string, HostTensor>> = {}): Record<string, HostTensor> => ({
  ...Object.fromEntries(
    Object.entries(parts)
      .filter(([name]) => into[name] === undefined)
      .map(([name, list]) => [name, f32(new Float32Array(list.reduce((sum, { shape }) => sum + sizeOf(shape), 0)))]),
  ),
  ...into,
});

export const createEngine = (options: EngineOptions): Engine => {
  const sessions = new Map<number, Compiled>();
  const onDevice = deviceWeights();
  const residents = createResidents();
  const wrappers = new WeakMap<HostTensor, Tensor>();
  const wrapped = (tensor: HostTensor): Tensor => {
    const wrapper = wrappers.get(tensor) ?? ortTensor(tensor);
    wrappers.set(tensor, wrapper);
    return wrapper;
  };
  /** Puts a tensor among those of a run, by the names that the model has for it or for its parts. */
  const lay = (run: Record<string, Tensor | null>, name: string, tensor: HostTensor, parts: readonly Part[] | undefined): void => {
    if (parts === undefined) run[name] = wrapped(tensor);
    else for (const [part, value] of split(tensor, parts)) run[part] = value;
  };
  let next = 1;
  return {
    upload: residents.add,
    allocate: (shape) => residents.add(f32(new Float32Array(sizeOf(shape)), shape)),
    write: residents.write,
    copy: residents.copy,
    download: residents.get,
    release: residents.release,
    compile: async ({ bytes, root, needsZero, prepacks, fed: wanted, parts }, compileOptions = {}) => {
      const weights: StoredWeight[] = [];
      try {
        const fed: Record<string, Tensor> = {};
        for (const [name, weight] of Object.entries(wanted)) {
          weights.push(weight);
          fed[name] = await onDevice.take(weight);
        }
        const session = await InferenceSession.create(bytes, sessionOptions(options, { root, prepacks }, compileOptions));
        sessions.set(next, { session, needsZero, fed, weights, parts, staying: new Map() });
        return next++;
      } catch (error) {
        for (const weight of weights) onDevice.giveBack(weight);
        if (LowrankError.is(error)) throw error;
        const failed = backendError("ONNX Runtime refused the program", error);
        throw failed.code === "out-of-memory" ? failed : (absenceError(options.device, messageOf(error), error) ?? failed);
      }
    },
    closeSession: async (id) => {
      const compiled = sessions.get(id);
      if (compiled === undefined) return;
      sessions.delete(id);
      await compiled.session.release();
      for (const weight of compiled.weights) onDevice.giveBack(weight);
    },
    dispose: async () => {
      for (const { session } of sessions.values()) await session.release();
      sessions.clear();
      await onDevice.dispose();
      residents.clear();
    },
    run: async (id, feeds, run) => {
      const compiled = sessions.get(id);
      if (compiled === undefined) throw new LowrankError("invalid-argument", "A program was run after its disposal.");
      const { staying } = compiled;
      const inputs: Record<string, Tensor> = { ...compiled.fed };
      const { inputs: cut, outputs: joined } = compiled.parts;
      const put = (name: string, tensor: HostTensor): void => lay(inputs, name, tensor, cut[name]);
      // First, as the other thread counts them as told whatever fails below.
      for (const [name, feed] of Object.entries(feeds)) if (isResident(feed)) staying.set(name, feed);
      for (const [name, feed] of Object.entries(feeds)) if (!isResident(feed)) put(name, feed);
      for (const { into } of run.store ?? []) residents.get(into);
      for (const [name, resident] of staying) if (feeds[name] === undefined || isResident(feeds[name])) put(name, residents.get(resident));
      if (compiled.needsZero) inputs[zeroInput] = new Tensor("float32", new Float32Array(1), [1]);
      const memory = memoryOf(joined, run.into);
      const fetches: Record<string, Tensor | null> = Object.fromEntries(compiled.session.outputNames.map((name) => [name, null]));
      for (const [name, tensor] of Object.entries(memory)) lay(fetches, name, tensor, joined[name]);
      const outputs = await compiled.session.run(inputs, fetches).catch((error: unknown) => {
        throw backendError("ONNX Runtime failed to run the program", error);
      });
      const returned = Object.entries(outputs).filter(([name]) => fetches[name] === null);
      const made = Object.fromEntries(returned.map(([name, output]) => [name, hostTensor(output)]));
      const { hosts, residents: stayed } = residents.settle({ ...made, ...memory }, run);
      const lent = Object.fromEntries((run.lend ?? []).map((name) => [name, feeds[name] as HostTensor]));
      return { hosts: { ...hosts, ...lent }, residents: stayed };
    },
  };
};
