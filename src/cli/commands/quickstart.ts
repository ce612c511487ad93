/** @file `lowrank quickstart`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { machineOptions } from "./train-options.ts";

const options = z.object({
  output: z.string().default("runs/quickstart").describe("folder for the adapter; what is there is replaced").meta({ placeholder: "dir" }),
  threads: machineOptions.threads,
});

export type QuickstartOptions = z.output<typeof options>;

export const quickstart = defineCommand({
  name: "quickstart",
  summary: "see the whole job in a minute: fine-tune an adapter on the embedded model and compare",
  examples: ["lowrank quickstart"],
  options,
  load: () => import("./quickstart-run.ts"),
});
