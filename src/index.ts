/** @file The library's front door: the functions that most programs need. */
export * from "./util/index.ts";
