// The net as figure 2 of the paper: columns side by side, and where they meet.

const STEP = 112, LANE = 168, MARGIN = 34, TOP = -14;

function figure(current, go) {
  const lanes = net.columns, middle = TOP + (LANE * lanes) / 2;
  const lane = (k, count) => (count === 1 ? middle : TOP + LANE * (k + 0.5));
  const here = net.steps[current], drawn = [];
  const first = (layer) => net.steps.findIndex((step) => step.layer === layer);
  box(drawn, MARGIN, middle, [net.size, net.size, 3], here.kind === "image", () => go(0));
  drawn.push(s("text", { x: MARGIN, y: middle + 66, class: here.kind === "image" ? "name here" : "name" }, "image"));
  let before = [[MARGIN, middle]];
  net.layers.forEach((layer, index) => {
    const x = MARGIN + STEP * (index + 1), count = layer.reads === "sum" ? 1 : lanes;
    const now = [...Array(count).keys()].map((k) => [x, lane(k, count)]);
    lines(drawn, layer, before, now, here.layer === layer.name);
    for (const [, y] of now) {
      box(drawn, x, y, layer.product, here.layer === layer.name, () => go(first(layer.name)));
      names(drawn, x, y, layer, current, go);
    }
    before = now;
  });
  const width = MARGIN * 2 + STEP * net.layers.length, height = TOP + LANE * lanes + 22;
  return s("svg", { viewBox: `0 0 ${width} ${height}` }, drawn);
}

function lines(drawn, layer, before, now, active) {
  now.forEach(([x, y], to) => before.forEach(([x0, y0], from) => {
    const shared = before.length === 1 || now.length === 1, same = shared || from === to;
    if (!same && !layer.received) return;
    const crosses = layer.received && (!same || now.length < before.length);
    const style = `${crosses ? "cross" : ""} ${active ? "here" : ""}`;
    drawn.unshift(s("line", { x1: x0 + 22, y1: y0, x2: x - 22, y2: y, class: style }));
  }));
  if (layer.received) {
    const [x, x0] = [now[0][0], before[0][0]], y = (now[0][1] + now[now.length - 1][1]) / 2;
    drawn.push(s("text", { x: (x + x0) / 2, y: y + 22, class: "amount" }, bytes(layer.bytes),
      s("title", {}, `${layer.received.toLocaleString("en")} values for each column`)));
  }
}

function box(drawn, x, y, shape, active, go) {
  const flat = shape.length < 3;
  const tall = flat ? 70 : 14 + 62 * (shape[0] / net.size) ** 0.6;
  const wide = flat ? 9 : 6 + 30 * Math.min(1, shape[2] / 512);
  const left = x - wide / 2, top = y - tall / 2, right = left + wide;
  drawn.push(s("g", { class: active ? "box here" : "box", onclick: go },
    s("polygon", { points: `${right},${top} ${right + 7},${top - 6} ${right + 7},${top + tall - 6} ${right},${top + tall}` }),
    s("polygon", { points: `${left},${top} ${left + 7},${top - 6} ${right + 7},${top - 6} ${right},${top}` }),
    s("rect", { x: left, y: top, width: wide, height: tall })));
  drawn.push(s("text", { x: x + 3, y: top - 10 }, flat ? shape[0].toLocaleString("en") : shape.join("×")));
}

function names(drawn, x, y, layer, current, go) {
  const steps = net.steps.map((step, index) => ({ step, index })).filter(({ step }) => step.layer === layer.name);
  steps.forEach(({ step, index }, line) => {
    const style = step.kind.includes("norm") ? "part norm" : "part";
    drawn.push(s("text", { x, y: y + 52 + 13 * line, class: index === current ? `${style} here` : style, onclick: () => go(index) },
      titleOf(step)));
  });
}

// What a step is called: "conv1 11x11 /4", "LRN", "pool 3/2".
function titleOf(step) {
  const operations = step.layer && layerOf(step.layer).operations.split(", ");
  const kind = step.kind.split("_crosses")[0];
  if (["conv", "full", "sum"].includes(kind)) return `${step.name} ${operations[0]}`;
  if (kind === "activation") return net.activation;
  if (kind === "norm") return "LRN";
  if (kind === "pool") return `${step.pool.kind === "max" ? "" : `${step.pool.kind} `}pool ${step.pool.window}/${step.pool.stride}`;
  if (kind === "dropout") return `dropout ${net.dropout.rate}`;
  return { spatial_norm: "spatial norm", other_norm: "norm" }[kind] ?? step.name;
}
