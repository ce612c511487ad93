/** @file Plain texts without a plot: animals, seasons, days, sizes, scenes at the table and in the weather. */
import { friendOf, hero } from "./cast.ts";
import { a, capital, count, list, numberWord, plural, type Teller } from "./english.ts";
import { animals, brightColours, weekdays } from "./lexicon.ts";
import { describeOrder, describeWeather, orderScene, weatherScene } from "./scenes.ts";

/** What a season is like, in the order of the year. */
export const seasons = [
  { name: "spring", months: ["March", "April", "May"], sentence: "In spring the flowers open and the birds build their nests." },
  { name: "summer", months: ["June", "July", "August"], sentence: "In summer the days are long and warm, and the fruit gets ripe." },
  {
    name: "autumn",
    months: ["September", "October", "November"],
    sentence: "In autumn the leaves turn red and yellow, and the wind blows them away.",
  },
  {
    name: "winter",
    months: ["December", "January", "February"],
    sentence: "In winter the nights are long, and sometimes snow covers the fields.",
  },
] as const;

const aboutAnimal = (tell: Teller): string => {
  const { noun, colour, home, food, sound, skill, young } = tell.pick(animals);
  const sentences = tell.sample(
    [
      `It is ${colour}.`,
      `It lives ${home}.`,
      `It (eats|likes to eat) ${food}.`,
      `It ${sound[0]} when it wants to (say|tell us) something.`,
      `It can ${skill}.`,
      `(A young ${noun}|Its child) is called ${a(young)}.`,
    ],
    tell.between(3, 5),
  );
  return [tell.pick([`${capital(a(noun))} is an animal.`, `Do you know the ${noun}?`, `This is about the ${noun}.`]), ...sentences].join(
    " ",
  );
};

const comparison = (tell: Teller): string => {
  const small = tell.pick(animals.filter(({ size }) => size === 1));
  const big = tell.pick(animals.filter(({ size }) => size === 3));
  return [
    `${capital(a(big.noun))} is (big|large), and ${a(small.noun)} is (small|little).`,
    tell.pick([
      `${capital(a(small.noun))} can hide under a leaf, but ${a(big.noun)} cannot.`,
      `${capital(a(big.noun))} is heavy, but ${a(small.noun)} is light.`,
    ]),
    `The ${big.noun} eats ${big.food}, and the ${small.noun} eats ${small.food}.`,
  ].join(" ");
};

const season = (tell: Teller): string => {
  const index = tell.between(0, 3);
  const { name, months, sentence } = seasons[index];
  return `${sentence} The months of ${name} are ${list(months)}. After ${name} comes ${seasons[(index + 1) % 4].name}.`;
};

const week = (tell: Teller): string => {
  const someone = hero(tell);
  const start = tell.between(0, 4);
  const deeds = tell.sample(
    [
      "washed the windows",
      "baked bread",
      "went to the market",
      "read a book",
      "visited a friend",
      "worked in the garden",
      "mended a chair",
      "wrote a letter",
      "swam in the lake",
      "did nothing at all",
    ],
    3,
  );
  return deeds.map((deed, index) => `On ${weekdays[start + index]} ${index === 0 ? someone.name : someone.he} ${deed}.`).join(" ");
};

const sums = (tell: Teller): string => {
  const [first, second] = [tell.between(1, 9), tell.between(1, 9)];
  const things = plural(tell.pick(["apple", "egg", "stone", "button", "bird", "star", "shell", "coin"]));
  return tell.pick([
    `${capital(numberWord(first))} and ${numberWord(second)} make ${numberWord(first + second)}. ${first} + ${second} = ${first + second}.`,
    `The number ${numberWord(first)} is written ${first}. After ${numberWord(first)} comes ${numberWord(first + 1)}, which is written ${first + 1}.`,
    `Here are ${numberWord(first + 1)} ${things}, and there ${second === 1 ? "is one more" : `are ${numberWord(second)} more`}. Together there are ${numberWord(first + second + 1)} ${things}.`,
  ]);
};

const atTable = (tell: Teller): string => {
  const order = orderScene(tell);
  const reaction = tell.pick([
    `"(Here you are|Enjoy your meal)," said the (cook|baker), and ${order.name} began to eat.`,
    `${order.name} ate everything and was (happy|full).`,
    `"That is ${count(
      order.items.reduce((sum, { amount }) => sum + amount, 0),
      "thing",
    )}," said the cook. "I will bring ${order.items.length === 1 && order.items[0].amount === 1 ? "it" : "them"} at once."`,
  ]);
  return `${describeOrder(tell, order)} ${reaction}`;
};

const weatherDay = (tell: Teller): string => {
  const scene = weatherScene(tell);
  const one = hero(tell);
  const other = friendOf(tell, one);
  const doing = scene.advice.includes("stay inside")
    ? `stayed inside and (played a game|told stories|drank tea)`
    : scene.advice.length === 0
      ? "went for a walk"
      : `took ${list(scene.advice.map((thing) => (thing.endsWith("s") ? thing : a(thing))))} and went out`;
  const end = tell.pick([
    `It was a good ${scene.time}.`,
    `They liked that kind of weather.`,
    `"What ${a(scene.time)}!" said ${other.name}.`,
  ]);
  return `${describeWeather(tell, scene)} ${one.Name} and ${other.name} ${doing}. ${end}`;
};

const room = (tell: Teller): string => {
  const [one, two, three] = tell.sample(["cup", "lamp", "book", "clock", "vase", "basket", "bell", "box", "hat", "candle"], 3);
  const [first, second, third] = tell.sample(brightColours, 3);
  return `The room was (small|big) and (warm|quiet|bright). On the table stood ${a(first)} ${one}. Next to the ${one} was ${a(second)} ${two}. ${capital(a(third))} ${three} was by the window. (A cat slept on the chair|The door was open|Nobody was there).`;
};

const writers = [aboutAnimal, comparison, season, week, sums, atTable, atTable, weatherDay, weatherDay, room];

/** A short plain text. */
export const fact = (tell: Teller): string => tell.say(tell.pick(writers)(tell));
