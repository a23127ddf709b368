<?php

require __DIR__ . '/../site.php';

page('Beranda', '<p>Selamat datang.</p>');
