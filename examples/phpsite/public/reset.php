<?php

require __DIR__ . '/../site.php';

// The answer is the same whether or not a player has the address. Who merely asks for
// a new password locks nobody out: the old one stays until the new one is used.
if (posted()) {
    players(function (array &$players) {
        foreach ($players as &$player) {
            if (strcasecmp($player['email'], given('email')) === 0) {
                $player['mailed'] = bin2hex(random_bytes(10));
                file_put_contents(FOLDER . '/mail.txt', "{$player['email']}: {$player['mailed']}\n", FILE_APPEND);
            }
        }
    });
    page('Lupa kata sandi', '<p>Jika alamat itu terdaftar, kata sandi baru sudah kami kirim ke sana.</p>');
}
page('Lupa kata sandi', <<<'HTML'
    <form method="post">
    <label>Email <input name="email" type="email" required></label>
    <button>Kirim</button>
    </form>
    HTML);
