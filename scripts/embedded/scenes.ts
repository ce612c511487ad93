/** @file Small scenes without a plot: the weather of a day, and what somebody wants to eat. Domains read them as facts, stories as settings. */
import { child } from "./cast.ts";
import { a, capital, count, list, plural, numberWord, type Teller } from "./english.ts";
import { countedFoods, measuredFoods } from "./lexicon.ts";

/** The weather at a place and time of day. */
export interface WeatherScene {
  place: string;
  time: string;
  air: string;
  sky: string;
  wind?: { strength: string; from: string };
  advice: readonly string[];
}

const skies: readonly { sky: string; said: readonly string[]; airs: readonly string[]; advice: readonly string[] }[] = [
  { sky: "sun", said: ["the sun shone", "there was not one cloud in the sky"], airs: ["hot", "warm"], advice: ["hat"] },
  { sky: "clouds", said: ["grey clouds covered the sky", "the sky was full of clouds"], airs: ["warm", "mild", "cool"], advice: [] },
  {
    sky: "rain",
    said: ["rain fell on the roofs", "it rained without a break"],
    airs: ["mild", "cool", "cold"],
    advice: ["boots", "umbrella"],
  },
  { sky: "snow", said: ["snow fell from the sky", "white snow covered everything"], airs: ["cold"], advice: ["boots", "gloves"] },
  { sky: "fog", said: ["thick fog hid the trees", "nobody could see far in the fog"], airs: ["cool", "cold"], advice: ["lamp"] },
  { sky: "storm", said: ["thunder rolled over the hills", "lightning lit up the sky"], airs: ["warm", "cool"], advice: ["stay inside"] },
];

const coats: Readonly<Record<string, readonly string[]>> = { cold: ["coat", "scarf"], cool: ["coat"] };

/** Draws a weather in which the parts agree: no snow on a hot day, no hat without sun. */
export const weatherScene = (tell: Teller): WeatherScene & { said: string } => {
  const { sky, said, airs, advice } = tell.pick(skies);
  const air = tell.pick(airs);
  return {
    place: tell.pick(["village", "city", "forest", "harbour", "island", "valley", "farm", "mountain", "beach", "lake"]),
    time: tell.pick(["morning", "afternoon", "evening", "night"]),
    air,
    sky: sky === "sun" ? "clear" : sky,
    said: tell.pick(said),
    wind: tell.chance(0.6)
      ? { strength: tell.pick(["light", "strong", "wild"]), from: tell.pick(["north", "south", "east", "west"]) }
      : undefined,
    advice: [...(sky === "storm" ? [] : (coats[air] ?? [])), ...advice],
  };
};

const at = (place: string): string =>
  `${["island", "farm", "mountain", "beach"].includes(place) ? "on" : ["lake"].includes(place) ? "at" : "in"} the ${place}`;

/** The scene in two or three sentences. */
export const describeWeather = (tell: Teller, { place, time, air, said, wind }: WeatherScene & { said: string }): string => {
  const where = at(place);
  const blow =
    wind &&
    tell.pick([
      `${capital(a(wind.strength))} wind blew from the ${wind.from}.`,
      `The wind came from the ${wind.from}, and it was ${wind.strength}.`,
    ]);
  const first = tell.pick([
    `It was ${a(air)} ${time} ${where}, and ${said}.`,
    `${capital(said)} ${where}. It was ${a(air)} ${time}.`,
    `The ${time} was ${air} ${where}. ${capital(said)}.`,
  ]);
  return blow ? `${first} ${blow}` : first;
};

/** One line of an order. */
export interface OrderItem {
  amount: number;
  /** Singular: "red apple", "cup of tea". */
  what: string;
}

export interface OrderScene {
  name: string;
  he: "he" | "she";
  items: readonly OrderItem[];
}

const looks: Readonly<Record<string, readonly string[]>> = {
  apple: ["red", "green", "small"],
  pear: ["yellow", "green", "soft"],
  plum: ["purple", "ripe"],
  cherry: ["red", "sweet"],
  tomato: ["red", "ripe"],
  onion: ["white", "red"],
  potato: ["small", "big"],
  bun: ["warm", "sweet"],
  egg: ["brown", "white"],
  muffin: ["warm", "small"],
};

/** Somebody who wants one to three different things. */
export const orderScene = (tell: Teller): OrderScene => {
  const { name, he } = child(tell);
  const items = tell.sample([...countedFoods, ...measuredFoods], tell.between(1, 3)).map((food) => ({
    amount: tell.pick([1, 1, 2, 2, 3, 4, 5, 6]),
    what: looks[food] && tell.chance(0.5) ? `${tell.pick(looks[food])} ${food}` : food,
  }));
  return { name, he, items };
};

/** "two red apples and a cup of tea". */
const spokenItems = (tell: Teller, items: readonly OrderItem[]): string =>
  list(
    items.map(({ amount, what }) => (amount > 1 ? `${numberWord(amount)} ${plural(what)}` : tell.chance(0.7) ? a(what) : count(1, what))),
  );

/** The order as somebody would say or tell it. */
export const describeOrder = (tell: Teller, { name, he, items }: OrderScene): string => {
  const wanted = spokenItems(tell, items);
  return tell.pick([
    `${name} wants ${wanted}.`,
    `${name} would like ${wanted}.`,
    `${name} is hungry. ${capital(he)} orders ${wanted}.`,
    `Please bring ${name} ${wanted}.`,
    `${name} comes to the shop and asks for ${wanted}.`,
    `"I would like ${wanted}, please," said ${name}.`,
    `Today ${name} takes ${wanted}.`,
    `"May I have ${wanted}?" asked ${name}.`,
  ]);
};
