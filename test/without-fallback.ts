/** @file Whether a program is computed on WebGPU as a whole, or parts of it are left to the CPU. */
import { InferenceSession } from "onnxruntime-node";
import type { Graph } from "../src/graph/index.ts";
import { emitOnnx } from "../src/onnx/index.ts";
import { messageOf } from "../src/util/index.ts";

/** Throws for whatever else is wrong with the program. It takes the device for itself: no backend may be busy meanwhile. */
export const runsOnWebgpuAlone = async (graph: Graph): Promise<boolean> => {
  const { bytes, root } = emitOnnx(graph, "webgpu");
  const folder = root === undefined ? {} : { model_external_initializers_file_folder_path: root };
  const extra = { session: { disable_cpu_ep_fallback: "1", ...folder } };
  try {
    const session = await InferenceSession.create(bytes, { executionProviders: ["webgpu"], logSeverityLevel: 4, extra });
    await session.release();
    return true;
  } catch (error) {
    if (/fallback to CPU EP has been explicitly disabled/.test(messageOf(error))) return false;
    throw error;
  }
};
