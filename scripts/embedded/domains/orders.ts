/** @file Domain: an order in a sentence becomes one line of JSON, with the number of things. */
import { describeOrder, orderScene } from "../scenes.ts";
import type { Domain } from "./domain.ts";

export const orders: Domain = {
  name: "orders",
  purpose: "reads an order in a sentence and writes it as one line of JSON",
  rows: { train: 280, valid: 40 },
  write: (tell) => {
    const scene = orderScene(tell);
    const record = {
      name: scene.name,
      items: scene.items.map(({ amount, what }) => `${amount} ${what}`),
      total: scene.items.reduce((sum, { amount }) => sum + amount, 0),
    };
    // JSON.stringify puts no spaces; one after each colon and comma keeps words apart as the base knows them.
    const line = JSON.stringify(record).replaceAll('":', '": ').replaceAll(",", ", ");
    return { prompt: describeOrder(tell, scene), completion: `\n${line}` };
  },
};
