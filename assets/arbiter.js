/* Runs before the page paints: theme without a flash, the first visit, copy buttons, disclosures that close. */
(function () {
  var root = document.documentElement, store = window.localStorage;
  var theme = store.getItem("theme");
  var dark = theme === "dark" || ((!theme || theme === "system") && matchMedia("(prefers-color-scheme: dark)").matches);
  root.classList.add(dark ? "dark" : "light");
  var seen = store.getItem("arbiter-seen") || /(^|; )arbiter_seen=1/.test(document.cookie);
  if (/^\/(app|start)(\/|$)/.test(location.pathname)) store.setItem("arbiter-seen", "1");
  if (/^\/app\/?$/.test(location.pathname) && !seen) location.replace("/start?first=1");
  window.arbiterSay = function (text) {
    var box = document.createElement("div");
    box.className = "banner"; box.setAttribute("role", "alert"); box.textContent = text;
    document.body.appendChild(box);
    setTimeout(function () { box.remove(); }, 6000);
  };
  function copied(button, ok) {
    button.classList.add(ok ? "done" : "failed");
    var region = document.getElementById("announce");
    if (region) region.textContent = ok ? "Copied" : "Copying was not allowed";
    setTimeout(function () { button.classList.remove("done", "failed"); if (region) region.textContent = ""; }, 1600);
  }
  document.addEventListener("click", function (event) {
    if (event.target.closest && event.target.closest(".skip")) {  // the router would take the hash for a page
      event.preventDefault();
      document.getElementById("content").focus();
    }
    var button = event.target.closest && event.target.closest("[data-copy]");
    if (button) {
      var text = button.getAttribute("data-copy");
      if (!text) { var box = button.closest(".code, pre"); text = box ? (box.querySelector("code") || box).innerText : ""; }
      var done = copied.bind(null, button);
      if (navigator.clipboard) navigator.clipboard.writeText(text).then(function () { done(true); }, function () { done(false); });
      else done(false);
    }
    document.querySelectorAll("details.how[open]").forEach(function (one) {
      if (!one.contains(event.target)) one.removeAttribute("open");
    });
  });
  document.addEventListener("change", function (event) {
    var name = event.target.getAttribute && event.target.getAttribute("data-fills"), file = name && event.target.files[0];
    if (!file) return;
    if (file.size > 400000) window.arbiterSay("This file is too large for the page; use the command `calibrate`.");
    else file.text().then(function (text) { document.getElementById(name).value = text; });
  });
  function showHere() {
    var here = document.querySelector(".side .on");
    if (here && matchMedia("(max-width: 900px)").matches) here.scrollIntoView({ inline: "center", block: "nearest" });
  }
  document.addEventListener("DOMContentLoaded", function () {
    showHere();
    new MutationObserver(function () { setTimeout(showHere, 60); }).observe(document.querySelector("title") || document.head, { childList: true, subtree: true, characterData: true });
  });
  document.addEventListener("keydown", function (event) {
    var close = document.querySelector(".veil [data-close]");
    if (event.key === "Escape" && close) { close.click(); return; }
    if (event.key === "Escape") document.querySelectorAll("details.how[open]").forEach(function (one) {
      one.removeAttribute("open"); one.querySelector("summary").focus();
    });
    var hit = event.target.closest && event.target.closest("[data-search]") && document.querySelector(".hits a");
    if (event.key === "Enter" && hit) hit.click();
    if (event.key === "/" && !/INPUT|TEXTAREA|SELECT/.test(event.target.tagName)) {
      var search = document.querySelector("[data-search]");
      if (search) { event.preventDefault(); search.focus(); }
    }
  });

  /* Command palette: Ctrl or Cmd and K. Pages of the navigation, ranges of spend, and what is typed looked up in activity. */
  var ACTIONS = [["Spend today by key", "/app/spend?by=key", 0], ["Spend of 7 days by project", "/app/spend?by=project", 6], ["Spend of 30 days by tag", "/app/spend?by=tag", 29],
    ["Dearest decisions", "/app/activity?sort=dearest"], ["Slowest decisions", "/app/activity?sort=slowest"], ["Worst decisions", "/app/activity?sort=worst"]];
  function day(back) { return new Date(Date.now() - back * 864e5).toISOString().slice(0, 10); }
  function commands(text) {
    var pages = Array.prototype.map.call(document.querySelectorAll("nav.side a.nav, nav.top a.nav"), function (one) { return ["Go to " + one.textContent.trim(), one.getAttribute("href")]; });
    var found = pages.concat(ACTIONS.map(function (one) { return [one[0], one[2] === undefined ? one[1] : one[1] + "&from=" + day(one[2]) + "&to=" + day(0)]; }));
    found = found.concat([["Switch between light and dark", "theme"], ["Keyboard: / search, Ctrl K commands, Esc closes", ""]]);
    var words = text.toLowerCase().split(/\s+/).filter(Boolean);
    found = found.filter(function (one) { return words.every(function (word) { return one[0].toLowerCase().indexOf(word) >= 0; }); });
    if (/^d_[0-9a-z]{16}$/.test(text)) found.unshift(["Open decision " + text, "/app/decision/" + text]);
    else if (text) found.push(["Find request " + text, "/app/activity?request=" + encodeURIComponent(text)], ["Decisions of the tag " + text, "/app/activity?tag=" + encodeURIComponent(text)]);
    return found;
  }
  function palette() {
    var old = document.querySelector("dialog.palette");
    if (old) { old.close(); return; }
    var box = document.createElement("dialog"), input = document.createElement("input"), list = document.createElement("ul"), help = document.createElement("small");
    var at = 0, shown = [], back = document.activeElement;
    box.className = "palette"; box.setAttribute("aria-label", "Commands"); list.setAttribute("role", "listbox"); list.id = "palette-list"; list.setAttribute("aria-label", "Commands");
    input.placeholder = "A page, a command, a decision or request id, a tag"; input.setAttribute("role", "combobox"); input.setAttribute("aria-label", "Command");
    input.setAttribute("aria-controls", "palette-list"); input.setAttribute("aria-expanded", "true"); help.textContent = "Up and Down choose, Enter goes, Esc closes";
    function draw() {
      shown = commands(input.value.trim()).slice(0, 30); at = Math.max(0, Math.min(at, shown.length - 1)); list.textContent = "";
      shown.forEach(function (one, i) {
        var row = document.createElement("li"); row.textContent = one[0]; row.id = "palette-" + i; row.setAttribute("role", "option"); row.setAttribute("aria-selected", i === at ? "true" : "false");
        row.addEventListener("click", function () { go(one); }); list.appendChild(row);
      });
      input.setAttribute("aria-activedescendant", shown.length ? "palette-" + at : "");
      if (list.children[at]) list.children[at].scrollIntoView({ block: "nearest" });
    }
    function go(one) {
      if (!one || !one[1]) return;
      box.close();
      if (one[1] === "theme") { var knob = document.querySelector('[aria-label="Switch between light and dark"]'); if (knob) knob.click(); }
      else location.assign(one[1]);
    }
    input.addEventListener("input", function () { at = 0; draw(); });
    box.addEventListener("keydown", function (event) {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); at += event.key === "ArrowDown" ? 1 : -1; draw(); }
      else if (event.key === "Enter") { event.preventDefault(); go(shown[at]); }
    });
    box.addEventListener("close", function () { box.remove(); if (back && back.focus) back.focus(); });
    box.addEventListener("click", function (event) { if (event.target === box) box.close(); });
    box.append(input, list, help); document.body.appendChild(box); draw(); box.showModal(); input.focus();
  }
  document.addEventListener("keydown", function (event) {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); palette(); }
  });
  document.addEventListener("click", function (event) { if (event.target.closest && event.target.closest("[data-palette]")) palette(); });
})();
