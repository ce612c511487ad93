/** @file Plot: something is lost, looked for in several places, and found where nobody thought of. */
import { a } from "../english.ts";
import { brightColours } from "../lexicon.ts";
import type { Plot } from "./plot.ts";

const searched = [
  "under the bed",
  "behind the door",
  "in the box",
  "on the shelf",
  "under the table",
  "in the basket",
  "behind the curtain",
  "in the garden",
];

export const lost: Plot = ({ tell, hero, elder }) => {
  const [thing, found] = tell.pick<readonly [string, readonly string[]]>([
    ["hat", [`on ${hero.his} own head`, "on the head of the snowman"]],
    ["scarf", [`around ${hero.his} own neck`, "in the basket, under a sleeping cat"]],
    ["spoon", [`in ${hero.his} own pocket`, "in the soup pot"]],
    ["key", [`in ${hero.his} own pocket`, "in the door"]],
    ["button", ["in the nest of a crow", "in the sewing box"]],
    ["book", [`under ${hero.his} own pillow`, "under a sleeping cat"]],
    ["sock", ["under a sleeping dog", `on ${hero.his} other foot`]],
    ["blanket", ["on the line in the sun", "under a sleeping dog"]],
  ]);
  const colour = tell.pick(brightColours);
  const [first, second, third] = tell.sample(searched, 3);
  const where = tell.pick(found);
  return [
    `One (morning|day|evening), ${hero.name} could not find ${hero.his} ${colour} ${thing}. "Where is my ${thing}?" ${hero.he} (asked|cried).`,
    `${hero.He} looked ${first}. It was not there. ${hero.He} looked ${second}. ${tell.pick([`There was only ${a(tell.pick(["old shoe", "small spider", "apple", "toy train", "wooden spoon", "ball"]))}.`, "It was not there either."])} ${hero.He} even looked ${third}, but ${tell.pick([`the ${thing} was gone`, "there was nothing", "found nothing"])}.`,
    `At last ${hero.he} went to ${elder.name}. "Have you seen my ${thing}?" ${hero.he} asked. ${elder.Name} (smiled|laughed|began to laugh). "${tell.pick(["Stand still and think", "Look again, but slowly", "I think I know"])}," ${elder.he} said. "It is ${where.replaceAll(`${hero.his} `, "your ")}!"`,
    `And there it was, ${where}. ${hero.Name} laughed too. ${tell.pick([`"Next time I will look there first," ${hero.he} said.`, `From then on, ${hero.he} always put the ${thing} in the same place.`, `"Thank you," ${hero.he} said, and held the ${thing} tight.`])}`,
  ];
};
