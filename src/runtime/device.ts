/** @file Where programs run and what each place needs. It knows nothing about sessions. */
import { LowrankError } from "../util/index.ts";

/** Where programs run: `cpu` always works, `webgpu` needs a graphics driver, `cuda` its provider's libraries. */
export type Device = "cpu" | "webgpu" | "cuda";

interface DeviceFacts {
  /** Whether two threads that use it at once would crash, so that all backends of a process have one between them. */
  readonly isOfOneThread: boolean;
  /** How the runtime says that it is not there, with the reason as the first group, and what to do about that. */
  readonly absence?: { readonly sign: RegExp; readonly what: string; readonly fix: string };
}

const facts: Readonly<Record<Device, DeviceFacts>> = {
  cpu: { isOfOneThread: false },
  webgpu: {
    isOfOneThread: true,
    absence: {
      sign: /Failed to get a WebGPU adapter: (.*)/s,
      what: "There is no WebGPU adapter",
      fix: "Install a driver that offers one (on Linux libvulkan.so.1 and the card's Vulkan driver; VK_ICD_FILENAMES names another one), or use --device cpu.",
    },
  },
  cuda: {
    isOfOneThread: false,
    absence: {
      sign: /(.*cuda.*)/is,
      what: "CUDA cannot be used",
      fix:
        "On Linux x64 fetch ONNX Runtime's provider with `node node_modules/onnxruntime-node/script/install.js --onnxruntime-node-install=cuda12`, " +
        "have the libraries of CUDA 12 and cuDNN 9 on LD_LIBRARY_PATH, or use --device cpu.",
    },
  },
};

/** Whether backends on this device share a thread. */
export const isOfOneThread = (device: Device): boolean => facts[device].isOfOneThread;

/** The error for a device that is not there, if that is what the runtime's text says. */
export const absenceError = (device: Device, text: string, cause: unknown): LowrankError | undefined => {
  const { absence } = facts[device];
  const reason = absence?.sign.exec(text)?.[1];
  if (absence === undefined || reason === undefined) return undefined;
  return new LowrankError("backend-failed", `${absence.what}: ${reason.trim().replace(/\.$/, "")}.`, { fix: absence.fix, cause });
};
