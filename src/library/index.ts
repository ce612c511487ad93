/** @file Floor 7: a folder that keeps many adapters by digest, with names, versions, aliases, tags and metrics. */
export type { Annotation } from "./annotate.ts";
export type { Collected, CollectOptions } from "./collect.ts";
export { adapterDigest, digestFile, type FileDigest } from "./digest.ts";
export type { OpenLibraryOptions } from "./folder.ts";
export { openLibrary, type AddOptions, type Library } from "./library.ts";
export { libraryDirectory } from "./location.ts";
export { checkName } from "./names.ts";
export type { Publication, Published } from "./publish.ts";
export type { AdapterRecord, AliasClaim, Lineage, Parent, PublishedVersion, Version } from "./record.ts";
export { labelOf } from "./record.ts";
export type { RemoveOptions } from "./remove.ts";
export { resolveAdapter, type ResolveAdapterOptions, type ResolvedAdapter } from "./resolve.ts";
export { parseMetricBound, type LibraryEntry, type LibraryQuery, type MetricBound, type SearchResult } from "./search.ts";
export type { Finding } from "./verify.ts";
