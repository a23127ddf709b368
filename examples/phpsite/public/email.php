<?php

require __DIR__ . '/../site.php';

$me = me();
$problem = '';
if (posted()) {
    $email = given('email');
    if (filter_var($email, FILTER_VALIDATE_EMAIL)) {
        players(function (array &$players) use ($me, $email) {
            $players[$me['username']]['email'] = $email;
        });
        go('/email.php');
    }
    $problem = 'Alamat email tidak sah.';
}
$value = text($me['email']);
page('Email', <<<HTML
    <form method="post">
    <label>Email <input name="email" type="email" value="$value" required></label>
    <button>Simpan</button>
    </form>
    HTML, $problem);
