#!/usr/bin/env node
/** @file The `lowrank` executable: runs the program on the process's own arguments and streams. */
import { createProgram } from "./program.ts";
import { runProgram } from "./run-program.ts";

// A reader that has seen enough (`lowrank generate … | head`) ends the program without a complaint.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

const words = process.argv.slice(2);
await runProgram(createProgram(words), words);
