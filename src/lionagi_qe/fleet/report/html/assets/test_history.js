// What pages show of texts, numbers and tests; nothing here knows of a page. AQE_TESTS is defined by
// tests.js, which only the pages of tests have.
"use strict";

function shownTime(milliseconds) {
  return milliseconds >= 1000 ? `${(milliseconds / 1000).toFixed(2)} s` : `${milliseconds} ms`;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

function compare(a, b) {
  return typeof a === "number" ? a - b : a.localeCompare(b);
}

// Tests: of each its id, outcome, milliseconds, message and past, see tests_script.py.

function outcomeClass(outcome) {
  if (AQE_TESTS.bad.includes(outcome)) return "bad";
  return AQE_TESTS.outcomes[outcome] === "passed" ? "passed" : "other";
}

const outcomeName = (outcome) => AQE_TESTS.outcomes[outcome].replace("_", " ");

// A test's past: of each run its number, the outcome and milliseconds.
function pastOf(test) {
  return test[4].split(",").map((each) => each.split(" ").map(Number));
}

function failuresOf(past) {
  return past.filter(([, outcome]) => AQE_TESTS.bad.includes(outcome)).length;
}

// When the first of the runs began in which a test has failed since, and how many these are.
function failingSince(number) {
  const [first] = AQE_TESTS.since[number];
  const count = pastOf(AQE_TESTS.tests[number]).filter(([run]) => run >= first).length;
  const found = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)/.exec(AQE_TESTS.runs[first][0]);
  const at = found ? `${found.slice(1, 4).join("-")} ${found.slice(4).join(":")} UTC` : "then";
  return `${at} (${count === 1 ? "1 run" : `${count} runs`})`;
}

// The page of a test is named by the address after its #, whatever is in the name.
const linkOf = (id) => `test.html#${encodeURIComponent(id)}`;

// The test that an address names after its #, and its number; -1 where this run has no such test.
function testOf(hash) {
  let id = hash.slice(1);
  try {
    id = decodeURIComponent(id);
  } catch {
    // An address that is cut short: looked for as it is.
  }
  return [id, AQE_TESTS.tests.findIndex((test) => test[0] === id)];
}

const SORT_KEYS = {
  name: (test) => test[0],
  outcome: (test) => AQE_TESTS.outcomes[test[1]],
  seconds: (test) => test[2],
};

// Numbers of tests in another order; way is 1 for ascending, -1 for descending.
function sorted(order, by, way) {
  const key = SORT_KEYS[by];
  const { tests } = AQE_TESTS;
  return [...order].sort((a, b) => way * compare(key(tests[a]), key(tests[b])));
}

// Numbers of the tests whose names have a part and whose outcome is as wanted.
function chosenTests(order, part, outcome) {
  const wanted = part.toLowerCase();
  return order.filter((number) => {
    const test = AQE_TESTS.tests[number];
    return isOf(number, test, outcome) && (!wanted || test[0].toLowerCase().includes(wanted));
  });
}

function isOf(number, test, outcome) {
  if (outcome === "failing") return AQE_TESTS.bad.includes(test[1]);
  if (outcome === "flaky") return number in AQE_TESTS.flaky;
  return outcome === "" || AQE_TESTS.outcomes[test[1]] === outcome;
}

// How to see what came between the last good run and the first bad one; "" where git can't tell.
function commandBetween([first, good]) {
  const [before, after] = [good, first].map((number) => AQE_TESTS.runs[number][1].replace("-dirty", ""));
  return before && after && before !== after ? `git log --oneline ${before}..${after}` : "";
}
