// What the pages do by themselves: tables that sort and filter, and tests, as test_history.js has them.
// Nothing here writes markup: what a project had a say in goes into text nodes alone.
"use strict";

const byId = (id) => document.getElementById(id);

// An element with attributes and children; strings among them become text.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function shape(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// Tables whose rows are in the page.

function sortKey(cell) {
  const number = Number.parseFloat(cell.textContent.replaceAll(",", ""));
  return cell.classList.contains("number") ? (Number.isNaN(number) ? -1 : number) : cell.textContent;
}

function makeSortable(table) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = make("button", { type: "button" }, ...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const way = turned(heading);
      const rows = [...body.rows].map((row) => [sortKey(row.cells[column]), row]);
      rows.sort(([a], [b]) => way * compare(a, b));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

// Turn the order by a heading around; 1 where it ascends now, else -1.
function turned(heading) {
  const descends = heading.getAttribute("aria-sort") === "ascending";
  for (const other of heading.parentElement.cells) {
    if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
  }
  heading.setAttribute("aria-sort", descends ? "descending" : "ascending");
  return descends ? -1 : 1;
}

function makeFilterable(table) {
  const input = make("input", { type: "search" });
  const filters = make("form", { class: "filters", role: "search" });
  filters.append(make("label", {}, `${table.dataset.filter} `, input));
  const hides = make("input", { type: "checkbox" });
  if (table.dataset.hide) filters.append(make("label", {}, hides, ` ${table.dataset.hide}`));
  const count = make("span", { class: "aside", role: "status" });
  filters.append(count);
  filters.addEventListener("submit", (event) => event.preventDefault());
  table.parentElement.before(filters);
  filters.addEventListener("input", () => {
    const wanted = input.value.toLowerCase();
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      row.hidden = (hides.checked && row.classList.contains("whole"))
        || !row.textContent.toLowerCase().includes(wanted);
      if (!row.hidden) shown += 1;
    }
    count.textContent = `${shown} of ${table.tBodies[0].rows.length}`;
  });
}

const SIGNS = { passed: "✓", skipped: "–", xfailed: "x", not_run: " " };

function shownOutcome(outcome) {
  return make("span", { class: `outcome ${outcomeClass(outcome)}` }, outcomeName(outcome));
}

function shownPast(test) {
  const past = pastOf(test).slice(-20);
  const bad = failuresOf(past);
  const said = `${bad} of the last ${past.length} runs failed`;
  const line = make("span", { class: "past", role: "img", "aria-label": said, title: said });
  for (const [, outcome] of past) {
    const kind = outcomeClass(outcome);
    const sign = kind === "bad" ? "✗" : SIGNS[AQE_TESTS.outcomes[outcome]] || "·";
    line.append(make("span", { class: kind }, sign));
  }
  return line;
}

class TestTable {
  constructor() {
    const named = new URLSearchParams(location.hash.slice(1));
    this.order = [...AQE_TESTS.tests.keys()];
    this.page = 0;
    this.fillOutcomes(named.get("outcome") || "");
    byId("find").value = named.get("find") || "";
    for (const id of ["find", "outcome", "rows"]) {
      byId(id).addEventListener("input", () => this.show(0));
    }
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("previous").addEventListener("click", () => this.show(this.page - 1));
    byId("next").addEventListener("click", () => this.show(this.page + 1));
    for (const button of document.querySelectorAll("[data-sort]")) {
      button.addEventListener("click", () => this.sort(button));
    }
    byId("tests").hidden = false;
    this.show(0);
  }

  fillOutcomes(chosen) {
    const found = new Set(AQE_TESTS.tests.map((test) => AQE_TESTS.outcomes[test[1]]));
    const choices = [["", "all"], ["failing", "failing"], ["flaky", "known to be flaky"]];
    for (const outcome of found) choices.push([outcome, outcome.replace("_", " ")]);
    for (const [value, label] of choices) byId("outcome").append(make("option", { value }, label));
    if (choices.some(([value]) => value === chosen)) byId("outcome").value = chosen;
  }

  sort(button) {
    this.order = sorted(this.order, button.dataset.sort, turned(button.parentElement));
    this.show(0);
  }

  show(page) {
    const chosen = chosenTests(this.order, byId("find").value, byId("outcome").value);
    const rows = byId("rows").value;
    const size = rows === "all" ? Math.max(chosen.length, 1) : Number(rows);
    const pages = Math.max(1, Math.ceil(chosen.length / size));
    this.page = Math.min(Math.max(page, 0), pages - 1);
    const part = chosen.slice(this.page * size, (this.page + 1) * size);
    byId("test-rows").replaceChildren(...part.map((number) => this.row(number)));
    byId("count").textContent = `${chosen.length} of ${AQE_TESTS.tests.length} tests`;
    byId("page-number").textContent = `${this.page + 1} of ${pages}`;
    byId("previous").disabled = this.page === 0;
    byId("next").disabled = this.page === pages - 1;
  }

  row(number) {
    const test = AQE_TESTS.tests[number];
    const name = make("td", {}, make("a", { class: "code", href: linkOf(test[0]) }, test[0]));
    if (number in AQE_TESTS.flaky) name.append(" ", make("span", { class: "level warning" }, "flaky"));
    const time = make("td", { class: "number" }, shownTime(test[2]));
    return make(
      "tr", {}, make("td", {}, shownOutcome(test[1])), name, time, make("td", {}, shownPast(test)),
    );
  }
}

// The page of one test, which the address names after its #.

function told(list, term, ...what) {
  list.append(make("dt", {}, term), make("dd", {}, ...what));
}

function shownRun(number) {
  const [run, commit] = AQE_TESTS.runs[number];
  return commit ? `${run} (commit ${commit.slice(0, 12)})` : run;
}

function tellSince(list, number) {
  const [first, good] = AQE_TESTS.since[number];
  told(list, "Failing since", `${failingSince(number)}, run ${shownRun(first)}`);
  if (good < 0) {
    told(list, "Last passed", "in none of the runs that are kept");
    return;
  }
  told(list, "Last passed", `in run ${shownRun(good)}`);
  const command = commandBetween(AQE_TESTS.since[number]);
  if (command) told(list, "What came between", make("pre", { tabindex: "0" }, command));
}

function tellFlaky(list, flaky) {
  if (flaky.rate) {
    const [rate, low, high] = flaky.rate.map(percent);
    told(list, "Flaky", `fails in ${rate} (${low} to ${high}, 95 % interval) of ${flaky.of}`);
  }
  if (flaky.evidence) {
    told(list, "Evidence", flaky.evidence, " ", make("a", { href: "flaky.html" }, "how to see it"));
  }
  if (flaky.mixed) told(list, "Undecided", `it passed and failed at commit ${flaky.mixed}`);
}

function chartOf(past) {
  const [width, height] = [480, 80];
  const longest = Math.max(...past.map(([, , milliseconds]) => milliseconds), 0.1);
  const step = width / Math.max(past.length, 25);
  const said = `Duration of ${past.length} runs, the longest ${shownTime(longest)}`;
  const svg = shape("svg", {
    class: "chart", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": said,
  });
  past.forEach(([, outcome, milliseconds], number) => {
    const tall = Math.max(2, (milliseconds / longest) * (height - 4));
    svg.append(shape("rect", {
      class: outcomeClass(outcome), x: number * step + 1, y: height - tall, width: step - 2, height: tall,
    }));
  });
  svg.append(shape("line", { x1: 0, x2: width, y1: height, y2: height }));
  return svg;
}

function pastTable(past) {
  const heading = (label) => make("th", { scope: "col" }, label);
  const body = make("tbody");
  for (const [run, outcome, milliseconds] of [...past].reverse()) {
    const [name, commit] = AQE_TESTS.runs[run];
    body.append(make(
      "tr", {},
      make("td", { class: "code" }, name), make("td", { class: "code commit" }, commit.slice(0, 12)),
      make("td", {}, shownOutcome(outcome)), make("td", { class: "number" }, shownTime(milliseconds)),
    ));
  }
  const time = heading("Time");
  time.className = "number";
  const head = make("thead", {}, make("tr", {}, heading("Run"), heading("Commit"), heading("Outcome"), time));
  const wide = make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Runs" });
  wide.append(make("table", {}, head, body));
  return wide;
}

function showTest() {
  const [id, number] = testOf(location.hash);
  const place = byId("test");
  if (number < 0) {
    byId("test-name").textContent = id || "No test is named";
    place.replaceChildren(make("p", { class: "note" }, "This run has no such test."));
    return;
  }
  const test = AQE_TESTS.tests[number];
  const past = pastOf(test);
  byId("test-name").textContent = id;
  document.title = `${id} · aqe`;
  const list = make("dl");
  told(list, "Outcome", shownOutcome(test[1]), ` in ${shownTime(test[2])}`);
  const bad = failuresOf(past);
  told(list, "Over the runs", `${bad} of ${past.length} failed`);
  if (number in AQE_TESTS.since) tellSince(list, number);
  if (number in AQE_TESTS.flaky) tellFlaky(list, AQE_TESTS.flaky[number]);
  const mutants = AQE_TESTS.mutants[number] || [];
  if (mutants.length) {
    const links = mutants.flatMap((each) => [make("a", { href: `mutants.html#m${each}` }, `mutant ${each + 1}`), " "]);
    told(list, "Ran and didn't notice", ...links);
  }
  place.replaceChildren(list);
  if (test[3] >= 0) {
    place.append(make("h2", {}, "What it said"), make("pre", { tabindex: "0" }, AQE_TESTS.messages[test[3]]));
  }
  place.append(make("h2", {}, "Runs"), chartOf(past), pastTable(past));
}

// In source: n and p go from one piece that did not run to the next.
function jump(way) {
  const lines = [...document.querySelectorAll(".source .m")];
  const starts = lines.filter((line) => !line.previousElementSibling?.classList.contains("m"));
  const at = starts.indexOf(document.querySelector(".source li:target"));
  const next = starts[at < 0 ? (way > 0 ? 0 : starts.length - 1) : at + way];
  if (next) location.hash = next.id;
}

for (const table of document.querySelectorAll("[data-filter]")) makeFilterable(table);
for (const table of document.querySelectorAll("[data-sortable]")) makeSortable(table);
if (byId("tests")) new TestTable();
if (byId("test")) {
  showTest();
  addEventListener("hashchange", () => {
    // Whoever skips to the content is not asking for another test.
    if (location.hash !== "#main") showTest();
  });
}
addEventListener("keydown", (event) => {
  const search = document.querySelector("input[type=search]");
  if (event.key !== "/" || !search || event.target.matches("input, select")) return;
  event.preventDefault();
  search.focus();
});
if (document.querySelector(".source")) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "n") jump(1);
    if (event.key === "p") jump(-1);
  });
}
