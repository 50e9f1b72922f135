// Sends the token that stands behind # in the set-up link; it is never part of a request's address.
"use strict";
(function () {
  var zh = (navigator.language || "").toLowerCase().indexOf("zh") === 0;
  if (zh) {
    document.documentElement.lang = "zh";
    document.querySelectorAll("[data-zh]").forEach(function (e) { e.textContent = e.dataset.zh; });
  }
  var answer = document.getElementById("answer");
  var token = new URLSearchParams(location.hash.slice(1)).get("token") || "";
  history.replaceState(null, "", location.pathname);
  document.getElementById("setup").addEventListener("submit", function (event) {
    event.preventDefault();
    var name = document.getElementById("name").value;
    var password = document.getElementById("password").value;
    fetch("/api/v1/setup", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token: token, name: name, password: password })
    }).then(function (r) {
      if (r.ok) {
        answer.textContent = zh ? "管理员已创建。" : "Done: you are signed in.";
        return null;
      }
      return r.json().then(function (p) {
        var more = (p.errors || []).map(function (e) { return e.message; });
        answer.textContent = [p.detail || p.title].concat(more).join("; ");
      });
    }).catch(function (e) { answer.textContent = String(e); });
  });
})();
