import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// `npm run dev` serves the page with hot reload and asks a running `make run` for everything else.
const server = 'http://localhost:7880';

export default defineConfig({
  plugins: [react()],
  build: { target: 'es2022', chunkSizeWarningLimit: 1200 },
  server: {
    port: 5173,
    proxy: { '/dev/token': server, '/settings': server, '/rtc': { target: server, ws: true } },
  },
});
