// The page: a picture, a step, a map; keys, buttons and touch move through the steps.

const state = { picture: 0, step: 0, column: 0, channel: 0, x: 0.5, y: 0.5, strongest: true, language: "en" };
let shown = 0; // counts what was asked for, so that a slower answer does not replace a later one
let marks = () => {};

const go = (index) => {
  state.step = Math.max(0, Math.min(net.steps.length - 1, index));
  render(true);
};

async function render(anew) {
  const step = net.steps[state.step], mine = ++shown, has = !["image", "views"].includes(step.kind);
  const tensor = has ? await activation(state.picture, step.name) : undefined;
  if (tensor && anew) choose(tensor, step);
  const sheet = has ? sheets(tensor, state, select) : undefined;
  const [ofLens, ofPanel, nine] = await Promise.all([has ? lens(step, state) : undefined, panel(step, state), pieces(step, state)]);
  if (mine !== shown) return;
  show("figure", figure(state.step, go));
  scrollToHere();
  showWords(step);
  show("lens", ofLens ?? []);
  show("panel", ofPanel ?? []);
  show("nine", nine ?? []);
  show("maps", sheet ? [h("h2", {}, `The ${tensor.shape.length === 2 ? "units" : "maps"} of ${step.name}`), orders(), sheet.element] : []);
  marks = sheet?.mark ?? (() => {});
  marks(state.column, state.channel);
  document.getElementById("figure").dataset.step = state.step;
  document.getElementById("steps").value = state.step;
  document.getElementById("back").disabled = state.step === 0;
  document.getElementById("forward").disabled = state.step === net.steps.length - 1;
  for (const [index, button] of [...document.querySelectorAll("#pictures button")].entries())
    button.setAttribute("aria-pressed", index === state.picture);
  setTimeout(prepare, 30, state.step + 1);
}

// Read the values of a step before it is asked for.
async function prepare(index) {
  const step = net.steps[index];
  if (!step || ["image", "views"].includes(step.kind)) return;
  const tensor = await activation(state.picture, step.name);
  brightest(tensor);
  for (let column = 0; column < tensor.shape[0]; column++) strongest(tensor, column);
}

// Keep the chosen map through a layer; in another layer begin with the strongest one.
function choose(tensor, step) {
  if (state.layer === step.layer && state.of === state.picture) return;
  Object.assign(state, { layer: step.layer, of: state.picture, column: 0, channel: strongest(tensor, 0)[0] });
}

async function select(column, channel, byPointer) {
  Object.assign(state, { column, channel });
  marks(column, channel);
  const step = net.steps[state.step], mine = ++shown;
  const [ofLens, ofPanel, nine] = await Promise.all([
    lens(step, state), step.kind.endsWith("_crosses") ? panel(step, state) : undefined, pieces(step, state)]);
  if (mine !== shown) return;
  show("lens", ofLens);
  show("nine", nine ?? []);
  if (ofPanel) show("panel", ofPanel);
  if (byPointer && innerWidth < 1000) document.getElementById("lens").scrollIntoView({ block: "center" });
}

function showWords(step) {
  const words = net.words[step.words], korean = state.language === "ko";
  show("words", h("h2", {}, titleOf(step)), h("p", { lang: state.language }, words[state.language]),
    words.flag ? h("p", { lang: state.language }, korean ? "끄는 법: " : "Off: ", words.flag.split(" ").flatMap((flag) => [h("code", {}, `--config.${flag}`), " "])) : undefined,
    words.cost_en ? h("p", { class: "remark", lang: state.language }, words[`cost_${state.language}`]) : undefined,
    words.ours ? h("p", { class: "remark", lang: state.language }, korean
      ? `우리 기록(Tiny ImageNet의 50개 클래스, 너비 1/4, 24에폭, 시드 3개): 이것이 없으면 top-1 오류가 ${words.ours}점 바뀝니다(95 % 구간).`
      : `Our record (50 classes of Tiny ImageNet, a quarter of the width, 24 epochs, 3 seeds): without it the top-1 error changes by ${words.ours} points (95 % interval).`) : undefined);
}

function orders() {
  const button = (text, value) => h("button", { type: "button", "aria-pressed": state.strongest === value,
    onclick: () => { state.strongest = value; render(false); } }, text);
  return h("div", { class: "choices" }, button("strongest first", true), button("in order", false));
}

function scrollToHere() {
  const box = document.getElementById("figure"), here = box.querySelector(".box.here");
  if (!here || box.scrollWidth <= box.clientWidth) return;
  const at = here.getBoundingClientRect(), frame = box.getBoundingClientRect();
  box.scrollLeft += at.left + at.width / 2 - frame.left - frame.width / 2;
}

function listen() {
  document.getElementById("back").addEventListener("click", () => go(state.step - 1));
  document.getElementById("forward").addEventListener("click", () => go(state.step + 1));
  document.getElementById("steps").addEventListener("change", (event) => go(Number(event.target.value)));
  document.getElementById("language").addEventListener("click", (event) => {
    state.language = state.language === "en" ? "ko" : "en";
    event.target.textContent = state.language === "en" ? "한국어" : "English";
    event.target.lang = state.language === "en" ? "ko" : "en";
    const step = net.steps[state.step];
    showWords(step);
    if (kept()?.layers[step.layer]) select(state.column, state.channel, false);
  });
  addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by && !event.target.closest("select, .scroll") && !event.altKey && !event.metaKey && !event.ctrlKey) go(state.step + by);
  });
  // A swipe steps, unless it begins on something that moves or is pointed at.
  let start;
  addEventListener("touchstart", (event) => {
    const [touch] = event.touches;
    start = event.touches.length === 1 && !event.target.closest("canvas, .scroll, select") ? touch : undefined;
  }, { passive: true });
  addEventListener("touchend", (event) => {
    if (!start) return;
    const [end] = event.changedTouches, across = end.clientX - start.clientX, down = end.clientY - start.clientY;
    if (Math.abs(across) > 60 && Math.abs(across) > 2 * Math.abs(down)) go(state.step + (across < 0 ? 1 : -1));
  }, { passive: true });
}

function begin() {
  document.getElementById("title").append(h("bdi", {}, net.run));
  const parameters = net.layers.reduce((sum, layer) => sum + layer.parameters, 0);
  document.getElementById("subject").append(`${net.name}, ${net.columns === 2 ? "two columns" : "one column"}, ${parameters.toLocaleString("en")} parameters, step ${net.step}`);
  show("pictures", pictures.map((about, index) => h("button", { type: "button", title: about.file, onclick: () => { state.picture = index; render(true); } }, jpeg(about))));
  show("steps", net.steps.map((step, index) => h("option", { value: index }, `${index + 1}. ${step.layer && step.name !== step.layer ? `${step.layer}: ` : ""}${titleOf(step)}`)));
  listen();
  render(true);
}

begin();
