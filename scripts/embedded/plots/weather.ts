/** @file Plot: the weather spoils a plan and offers a better one. */
import { list } from "../english.ts";
import type { Plot } from "./plot.ts";

interface Weather {
  change: string;
  clothes: readonly string[];
  fun: string;
  end: string;
}

const weathers: readonly Weather[] = [
  {
    change: "dark clouds came, and it began to rain",
    clothes: ["a raincoat", "a pair of boots", "an umbrella"],
    fun: "jumped into every puddle and let paper boats float",
    end: "a rainbow stood over the houses",
  },
  {
    change: "it grew cold, and snow fell from the sky",
    clothes: ["a coat", "a scarf", "a hat"],
    fun: "built a snowman with a carrot for a nose",
    end: "they drank hot cocoa by the stove",
  },
  {
    change: "a strong wind came and blew the leaves from the trees",
    clothes: ["a coat", "a hat"],
    fun: "ran up the hill and let the kite fly",
    end: "the kite was as small as a bird in the sky",
  },
  {
    change: "the fog came, and nobody could see the trees any more",
    clothes: ["a coat", "a lamp"],
    fun: "played hide and seek like ghosts in the white fog",
    end: "the sun came out and the fog was gone",
  },
  {
    change: "the sun burned so hot that nobody wanted to walk",
    clothes: ["a hat", "a bottle of water"],
    fun: "sat with their feet in the cold river and ate melons",
    end: "the first stars came out and it was cool again",
  },
];

export const weather: Plot = ({ tell, hero, friend }) => {
  const { change, clothes, fun, end } = tell.pick(weathers);
  const plan = tell.pick(["play with the ball", "have a picnic", "go to the market", "climb the apple tree", "look for berries"]);
  return [
    `${hero.Name} and ${friend.name} wanted to ${plan}. (Everything was ready|They had waited for it all week|They had just left the house). But then ${change}.`,
    `"${tell.pick(["Now the day is spoiled", `Now we cannot ${plan}`, "What bad luck"])}!" said ${hero.name}. ${friend.Name} looked (out of the window|at the sky) and (thought|smiled). "${tell.pick(["There is no bad weather", "I have a better idea", "Then we will do something else"])}," ${friend.he} said.`,
    `They (fetched|took) ${list(clothes)} and went outside. They ${fun}. ${tell.pick(["They laughed until it hurt.", "It was so much fun that they forgot the time.", `"Again!" shouted ${hero.name}.`])}`,
    `In the end ${end}. "${tell.pick(["That was better than our plan", "I hope it will be like this tomorrow", "What a good day"])}," said ${hero.name}.`,
  ];
};
