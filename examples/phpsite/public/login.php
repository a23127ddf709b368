<?php

require __DIR__ . '/../site.php';

$problem = '';
if (posted()) {
    // A mailed password becomes the password when it is used.
    players(function (array &$players) use (&$problem) {
        $name = given('username');
        $password = given('password');
        $player = $players[$name] ?? ['password' => '', 'mailed' => ''];
        if ($password === '' || !in_array($password, [$player['password'], $player['mailed']], true)) {
            $problem = 'Nama pengguna atau kata sandi salah.';
            return;
        }
        $players[$name]['password'] = $password;
        $players[$name]['mailed'] = '';
        $_SESSION['player'] = $name; // in the session that there was before
    });
    $problem || go('/withdraw.php');
}
page('Masuk', <<<'HTML'
    <form method="post">
    <label>Nama pengguna <input name="username" autocomplete="username" required></label>
    <label>Kata sandi <input name="password" type="password" autocomplete="current-password" required></label>
    <button>Masuk</button>
    </form>
    <p><a href="/reset.php">Lupa kata sandi?</a></p>
    HTML, $problem);
