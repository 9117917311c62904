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
    if (event.key === "/" && !/INPUT|TEXTAREA|SELECT/.test(event.target.tagName)) {
      var search = document.querySelector("[data-search]");
      if (search) { event.preventDefault(); search.focus(); }
    }
  });
})();
