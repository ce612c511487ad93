/** @file Names with numbers in them: in order, and grouped where they differ only in the numbers. It knows nothing about tensors. */

const natural = new Intl.Collator("en", { numeric: true });

/** In the order of names, layer 2 before layer 10. */
export const sortByName = <Item>(items: readonly Item[], name: (item: Item) => string): Item[] =>
  items.toSorted((a, b) => natural.compare(name(a), name(b)));

/** A name with its numbers as stars: `model.layers.*.mlp.up_proj`. */
export const kindOf = (name: string): string => name.replace(/(?<=^|\.)\d+(?=\.|$)/g, "*");

/** Groups items under a key, in the order in which the keys first come. */
export const groupBy = <Item>(items: readonly Item[], key: (item: Item) => string): Map<string, Item[]> => {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return groups;
};
