// Everything works without this script. It turns times of day into countdowns and
// fills in the code from the SMS.
(function () {
  var each = function (selector, f) { document.querySelectorAll(selector).forEach(f) }
  var units = document.body.dataset

  // Calls show with the time to go, as "9 min" or "45 s", and over at the end. It
  // counts from the server's number: this clock may be wrong, but it runs right.
  var count = function (seconds, show, over) {
    var end = Date.now() + seconds * 1000
    var tick = function () {
      var s = Math.ceil((end - Date.now()) / 1000)
      if (s > 0) {
        show(s > 60 ? Math.ceil(s / 60) + '\xa0' + units.min : s + '\xa0' + units.sec)
        setTimeout(tick, 1000)
      } else over()
    }
    tick()
  }
  each('[data-left]', function (p) {
    var span = p.querySelector('span')
    count(p.dataset.left, function (left) { span.textContent = ' (' + left + ')' }, function () {
      p.setAttribute('role', 'alert')
      p.className = 'err'
      p.textContent = p.dataset.over
    })
  })
  each('[data-wait]', function (button) {
    var note = button.querySelector('small')
    button.disabled = true
    count(button.dataset.wait, function (left) { note.textContent = button.dataset.in + ' ' + left }, function () {
      button.disabled = false
      note.remove()
    })
  })

  // WebOTP: the browser asks the player, then the code is in the field. It is the
  // player who sends it.
  each('[data-otp]', function (input) {
    if (!window.OTPCredential) return
    var stop = new AbortController()
    input.form.addEventListener('submit', function () { stop.abort() })
    navigator.credentials.get({ otp: { transport: ['sms'] }, signal: stop.signal }).then(function (otp) {
      if (!input.value) input.value = otp.code
    }, function () {})
  })
})();
